"""What is wrong with VaultSecrets, by their status and by the grants; reads nothing itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, OWNER_UID_LABEL, ObjectKey
from vaultsync.api.grants import VaultGrant
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret, VaultSecretMeta
from vaultsync.cli.ages import until
from vaultsync.cli.doctor.findings import Finding, failed, ok, unknown
from vaultsync.cli.explain import advice
from vaultsync.cli.status import PENDING, VaultSecretState, state_of
from vaultsync.errors import Reason
from vaultsync.policy.grants import decide
from vaultsync.state.grants import Granted, GrantView, Refused
from vaultsync.state.requests import named_secrets
from vaultsync.state.secrets import SecretRef
from vaultsync.status.conditions import EXPIRING, READY, STALE, condition
from vaultsync.texts import in_utc

MAX_SHOWN: Final = 20
"""VaultSecrets, vaults or secrets that are shown; of more, their number."""

_NO_FAILURES: Final = frozenset({PENDING, Reason.SUSPENDED, Reason.WAITING})


@dataclass(frozen=True, slots=True)
class Found:
    """A VaultSecret: its state, its metadata and status, and its spec if that is valid."""

    state: VaultSecretState
    meta: VaultSecretMeta
    parsed: VaultSecret | None
    problem: str = ""
    """Why the spec is not valid."""

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return self.meta.key

    @property
    def target(self) -> ObjectKey:
        """The Secret that is written."""
        return self.key if self.parsed is None else self.parsed.target_key

    @property
    def vault_url(self) -> str | None:
        """The vault, as grants name it; None if the spec is not valid."""
        return None if self.parsed is None else self.parsed.spec.vault_url


def found_from(body: Mapping[str, Any]) -> Found:
    """Return a VaultSecret of the API server."""
    state, meta = state_of(body), VaultSecretMeta.parse(body)
    try:
        return Found(state, meta, VaultSecret.parse(body))
    except InvalidSpec as error:
        return Found(state, meta, None, str(error))


@dataclass(frozen=True, slots=True)
class Brief:
    """One VaultSecret of many: no more is kept of it than is shown."""

    state: VaultSecretState
    refused: Refused | None
    """Why no grant allows it."""
    vault_url: str | None
    """The vault that the operator reads for it; None if the spec is not valid, or no grant allows it."""
    first: SecretRef | None
    """The first secret that it names."""

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return ObjectKey(self.state.namespace, self.state.name)


def brief_from(body: Mapping[str, Any], view: GrantView | None) -> Brief:
    """Return a VaultSecret of the API server; `view` is None if the grants are not known."""
    one = found_from(body)
    if one.parsed is None:
        return Brief(one.state, None, None, None)
    decision = None if view is None else decide(one.parsed, view)
    if isinstance(decision, Refused):
        return Brief(one.state, decision, None, None)
    first = next((request.ref for request in named_secrets(one.parsed.spec)), None)
    return Brief(one.state, None, one.parsed.spec.vault_url, first)


def all_findings(found: Sequence[Brief]) -> Iterator[Finding]:
    """Yield a line for each VaultSecret that is not as it should be, or one line if all are."""
    wrong = [(one, finding) for one in found if (finding := _finding(one)) is not None]
    wrong.sort(key=lambda pair: pair[0].state.sort_key)
    for _, finding in wrong[:MAX_SHOWN]:
        yield finding
    if len(wrong) > MAX_SHOWN:
        text = f"{len(wrong) - MAX_SHOWN} more VaultSecrets are not ready."
        yield failed("vaultsecrets", text, "vaultsync status -A shows all.")
    if not wrong:
        number = len(found)
        yield ok("vaultsecrets", f"{number} of {number} VaultSecrets are ready." if found else "There are none.")


def _finding(one: Brief) -> Finding | None:
    """Return the line about a VaultSecret; None if it is as it should be."""
    area, state, refused = "vaultsecrets", one.state, one.refused
    how = f"vaultsync doctor -n {one.key.namespace} {one.key.name} shows more."
    if refused is not None and state.reason != refused.reason:
        return failed(area, f"{one.key}: {refused.reason}: {refused.message}", how)
    if state.ready == "True":
        return None
    text = f"{one.key}: {state.reason}: {state.message}"
    return unknown(area, text) if state.reason in _NO_FAILURES else failed(area, text, how)


def one_findings(one: Found, view: GrantView | None, *, now: datetime) -> Iterator[Finding]:
    """Yield why a VaultSecret is as it is, by its own fields, its status and the grants."""
    area = area_of(one)
    if one.meta.metadata.deletion_timestamp is not None:
        yield unknown(area, "It is being deleted.")
    if one.parsed is None:
        text = f"This version does not accept the spec: {one.problem}"
        yield failed(area, text, "Correct the field; if the CustomResourceDefinition is older, upgrade it.")
    elif one.parsed.spec.suspend:
        yield unknown(area, "It is suspended: the vault is not read.", "Set spec.suspend to false to resume it.")
    yield _ready(area, one)
    yield from _others(area, one, now)
    yield from _restarts(area, one)
    if view is not None and one.parsed is not None:
        decision = decide(one.parsed, view)
        if isinstance(decision, Granted):
            yield ok(area, f"VaultGrant {decision.access.grant} allows it.")
        else:
            yield failed(area, decision.message, advice(decision.reason))


def area_of(one: Found) -> str:
    """Return the title of the lines about a VaultSecret."""
    return f"vaultsecret {one.key}"


def _ready(area: str, one: Found) -> Finding:
    state = one.state
    if state.reason == PENDING:
        text = "See the lines about the operator: a running one that watches the namespace takes seconds."
        return unknown(area, state.message, text)
    text = f"{state.reason}: {state.message}"
    if state.ready == "True":
        return ok(area, text)
    if state.reason in _NO_FAILURES:
        return unknown(area, text, advice(state.reason))
    return failed(area, text, advice(state.reason))


def _others(area: str, one: Found, now: datetime) -> Iterator[Finding]:
    """Yield what the conditions besides Ready and the list of missing secrets say."""
    status = one.meta.status
    stale, expiring, ready = (condition(status, kind) for kind in (STALE, EXPIRING, READY))
    if stale is not None and stale.status == "True":
        yield failed(area, stale.message, "Pods may use values that are not in the vault any more.")
    if expiring is not None and expiring.status == "True":
        expires = "" if status.expires is None else f" ({until(status.expires, now)})"
        make = failed if expiring.reason == "Expired" else unknown
        yield make(area, f"{expiring.reason}{expires}: {expiring.message}", "Set a new version in the vault.")
    for missing in status.missing[:MAX_SHOWN] if ready is not None and ready.status == "True" else ():
        name = f"{missing.secret_name} ({missing.key})" if missing.key else missing.secret_name
        yield unknown(area, f"The vault has not provided {name} since {in_utc(missing.since)}.")


def _restarts(area: str, one: Found) -> Iterator[Finding]:
    for restart in one.meta.status.restarts:
        if restart.problem is not None:
            yield failed(area, f"{restart.kind} {restart.name} was not restarted: {restart.problem}")


def target_finding(one: Found, metadata: Mapping[str, Any] | None) -> Finding:
    """Return the line about the Secret that a VaultSecret writes; `metadata` is None if there is none."""
    area, subject = area_of(one), f"Secret {one.target}"
    if metadata is None:
        if one.state.ready == "True":
            text = f"{subject} does not exist, although the VaultSecret is ready."
            return failed(area, text, "An operator that runs restores it within a second.")
        return unknown(area, f"{subject} does not exist yet.")
    labels = metadata.get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY and labels.get(OWNER_UID_LABEL) == one.meta.metadata.uid:
        return ok(area, f"{subject} exists and is that of this VaultSecret.")
    return failed(area, f"{subject} exists and has another owner.", advice(Reason.TARGET_CONFLICT))


def grant_findings(grants: Iterable[VaultGrant], namespace: str | None) -> Iterator[Finding]:
    """Yield a line for each VaultGrant, with what the operator has found by its identity; first those that fail.

    Args:
        grants: Those for the namespace.
        namespace: The namespace; None for all.
    """
    states = [(one, next((each for each in one.status.conditions if each.type == READY), None)) for one in grants]
    ordered = sorted(states, key=lambda of: (of[1] is None or of[1].status != "False", of[0].metadata.name))
    for grant, ready in ordered[:MAX_SHOWN]:
        subject = f"VaultGrant {grant.metadata.name} ({grant.spec.vault_url})"
        if ready is None:
            yield unknown("grants", f"{subject}: the operator has not looked at it yet.")
        elif ready.status == "False":
            yield failed("grants", f"{subject}: {ready.reason}: {ready.message}", advice(ready.reason))
        else:
            vault = grant.status.vault
            client = "" if vault is None or vault.client_id is None else f" The client id is {vault.client_id}."
            make = ok if ready.status == "True" else unknown
            yield make("grants", f"{subject}: {ready.message}{client}")
    if len(ordered) > MAX_SHOWN:
        yield unknown("grants", f"{len(ordered) - MAX_SHOWN} more are not shown.", "kubectl get vaultgrants")
    if not ordered:
        where = "" if namespace is None else f" for namespace {namespace}"
        text = f"There is no VaultGrant{where}: no VaultSecret may read anything."
        yield failed("grants", text, "See docs/grants.md.")
