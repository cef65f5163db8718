"""How Argo CD, Flux, Helm and kpt rate objects with the rules on the page about GitOps, for every status there is."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.builders import READ_AT, a_state, a_synced, a_vault_secret
from tests.contract.lua import run
from tests.controlplane.flux import Flux
from vaultsync.api import API_VERSION, GRANT_KIND, KIND, REFRESH_ANNOTATION
from vaultsync.api.grants import VaultGrantStatus
from vaultsync.api.schema import NOT_OBSERVED
from vaultsync.api.v1alpha1 import Condition, VaultSecretStatus
from vaultsync.controller.grant_status import REACHABLE, UNUSED
from vaultsync.errors import Reason, Retry
from vaultsync.status.conditions import READY, RECONCILING, STALLED, progress
from vaultsync.status.next_status import status_after
from vaultsync.status.outcome import Failed, Pruned, Reported, Suspended, Waiting

PAGE: Final = (Path(__file__).parents[2] / "docs" / "gitops.md").read_text()
BLOCKS: Final = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]

Object = dict[str, Any]


def block(kind: str) -> Object:
    """The one manifest of a kind on the page."""
    (found,) = [one for one in BLOCKS if one["kind"] == kind]
    assert isinstance(found, dict)
    return found


CUSTOMIZATIONS: Final = block("ConfigMap")["data"]
HEALTH: Final[str] = CUSTOMIZATIONS[f"resource.customizations.health.vaultsync.dev_{KIND}"]
ACTIONS: Final = yaml.safe_load(CUSTOMIZATIONS[f"resource.customizations.actions.vaultsync.dev_{KIND}"])
(EXPRESSIONS,) = block("Kustomization")["spec"]["healthCheckExprs"]

REASONS: Final = [reason for reason in Reason if reason not in {Reason.SYNCED, Reason.SUSPENDED, Reason.WAITING}]
AWAY: Final = Failed(Reason.VAULT_UNREACHABLE, "No answer.")


def a_found(*outcomes: Reported, generation: int = 1, expires_in: timedelta | None = None) -> Object:
    """A VaultSecret as the API server returns it, after these outcomes, each three minutes after the one before.

    vaultsync has reconciled generation 1. With `expires_in` the first outcome is in sync with a secret that expires
    after that time.
    """
    expires = None if expires_in is None else READ_AT + expires_in
    dated = () if expires is None else (a_synced(a_state(expires=expires)),)
    status = VaultSecretStatus()
    for number, outcome in enumerate([*dated, *outcomes]):
        now = READ_AT + number * timedelta(minutes=3)
        before = a_vault_secret(status=status)
        status = status_after(before, outcome, now=now, polled_at=READ_AT, notice=timedelta(days=14))
    return as_found(status, generation)


def as_found(status: VaultSecretStatus | None, generation: int = 1) -> Object:
    """A VaultSecret with this status as the API server returns it."""
    metadata = {"name": "db", "namespace": "shop", "generation": generation}
    found = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {}}
    return found if status is None else found | {"status": status.to_wire()}


NEW: Final = as_found(VaultSecretStatus.parse(NOT_OBSERVED))
OUTDATED: Final = a_found(a_synced(), generation=2)


@pytest.mark.parametrize(
    "found",
    [NEW, as_found(None), as_found(VaultSecretStatus()), as_found(VaultSecretStatus(observed_generation=1)), OUTDATED],
    ids=["new", "no status", "an empty status", "no condition", "a status of an older generation"],
)
def test_argo_cd_waits_until_vaultsync_has_reconciled(found: Object) -> None:
    assert run(HEALTH, found) == {
        "status": "Progressing",
        "message": "vaultsync has not reconciled this generation yet.",
    }


def test_a_vaultsecret_in_sync_is_healthy_in_argo_cd() -> None:
    assert run(HEALTH, a_found(a_synced())) == {"status": "Healthy", "message": "1 key is in sync."}


@pytest.mark.parametrize(
    ("expires_in", "message"),
    [
        (timedelta(days=3), "Secret db-password, which fills key password, expires at 2026-03-04 12:30:00 UTC."),
        (
            -timedelta(days=3),
            "Secret db-password, which fills key password, expired at 2026-02-26 12:30:00 UTC; it is still synced.",
        ),
    ],
    ids=["expires soon", "has expired"],
)
def test_argo_cd_shows_as_healthy_with_the_message(expires_in: timedelta, message: str) -> None:
    assert run(HEALTH, a_found(expires_in=expires_in)) == {"status": "Healthy", "message": message}


@pytest.mark.parametrize("reason", REASONS, ids=[reason.value for reason in REASONS])
def test_a_vaultsecret_that_is_not_in_sync_is_degraded_in_argo_cd(reason: Reason) -> None:
    found = a_found(a_synced(), Failed(reason, "Why it is so."))

    assert run(HEALTH, found) == {"status": "Degraded", "message": f"{reason.value}: Why it is so."}


def test_argo_cd_shows_since_when_a_degraded_one_is_stale() -> None:
    found = a_found(a_synced(), AWAY, AWAY, AWAY)

    stale = "The Secret was last confirmed to match the vault at 2026-03-01 12:33:00 UTC."
    assert run(HEALTH, found) == {"status": "Degraded", "message": f"VaultUnreachable: No answer. {stale}"}


def test_argo_cd_shows_a_suspended_one_as_suspended() -> None:
    found = a_found(a_synced(), Suspended())

    assert run(HEALTH, found) == {"status": "Suspended", "message": Reason.SUSPENDED.sentence}


def test_argo_cd_shows_what_a_waiting_vaultsecret_waits_for() -> None:
    found = a_found(a_synced(), Waiting("A poll that confirms a deletion."))

    assert run(HEALTH, found) == {"status": "Progressing", "message": "A poll that confirms a deletion."}


def test_argo_cd_offers_the_actions_that_are_defined() -> None:
    assert set(run(ACTIONS["discovery.lua"], NEW)) == {action["name"] for action in ACTIONS["definitions"]}


@pytest.mark.parametrize("annotations", [None, {}, {"team": "shop", REFRESH_ANNOTATION: "before"}], ids=str)
def test_the_action_refresh_changes_the_annotation_and_nothing_else(annotations: Mapping[str, str] | None) -> None:
    (refresh,) = ACTIONS["definitions"]
    metadata = NEW["metadata"] | ({} if annotations is None else {"annotations": annotations})
    found = NEW | {"metadata": metadata, "spec": {"suspend": False}}

    # Lua's clock has whole seconds, and may be one tick of the kernel behind Python's.
    before = datetime.now(UTC) - timedelta(seconds=2)
    returned = run(refresh["action.lua"], found)
    after = datetime.now(UTC)

    requested = returned["metadata"]["annotations"].pop(REFRESH_ANNOTATION)
    assert before <= datetime.fromisoformat(requested) <= after
    kept = {key: text for key, text in (annotations or {}).items() if key != REFRESH_ANNOTATION}
    assert returned == found | {"metadata": metadata | {"annotations": kept}}


def failures(retry: Retry) -> dict[str, Object]:
    """A VaultSecret that fails for each reason that is retried so."""
    return {reason.value: a_found(Failed(reason, "Why.")) for reason in REASONS if reason.retry is retry}


ROWS: Final[dict[str, dict[str, Object]]] = {
    "not reconciled yet": {"new": NEW},
    "reconciled, but in an older generation": {"outdated": OUTDATED},
    "in sync": {"in sync": a_found(a_synced())},
    "in sync, expired or soon to expire": {
        "expired": a_found(expires_in=-timedelta(days=3)),
        "soon to expire": a_found(expires_in=timedelta(days=3)),
    },
    "not in sync, may recover by itself": failures(Retry.SOON),
    "not in sync, needs a change": {
        **failures(Retry.LATER),
        "emptied": a_found(a_synced(), Pruned(Reason.SECRET_SOFT_DELETED, "All are deleted.", ())),
    },
    "waiting, for instance for the vault's first listing": {
        "from the start": a_found(Waiting("The first listing of the vault.")),
        "after it was in sync": a_found(a_synced(), Waiting("A poll that confirms a deletion.")),
    },
    "suspended": {
        "from the start": a_found(Suspended()),
        "after it was in sync": a_found(a_synced(), Suspended()),
    },
}
"""VaultSecrets by the row of the page's table that describes them."""


def rows() -> dict[str, list[str]]:
    """The first word of each cell of the page's table, by the row's first."""
    table = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("|")]
    return {row: [re.split(r"\W", cell)[0] for cell in cells] for row, _ready, _beside, *cells in table[2:]}


def beside() -> dict[str, str]:
    """The condition beside Ready, or `none`, by the row's first cell."""
    table = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("|")]
    return {row: condition.strip("`| ") for row, _ready, condition, *_cells in table[2:]}


DOCUMENTED: Final = [
    pytest.param(found, rows().get(row), id=f"{row}: {name}")
    for row, founds in ROWS.items()
    for name, found in founds.items()
]


def test_the_page_has_each_row_that_is_tested_and_no_other() -> None:
    assert list(rows()) == list(ROWS)


@pytest.mark.parametrize(("found", "documented"), DOCUMENTED)
def test_tools_show_what_the_page_says(flux: Flux, found: Object, documented: list[str]) -> None:
    by_expressions, alone = flux.health(found, EXPRESSIONS), flux.health(found)

    assert [run(HEALTH, found)["status"], alone.status, by_expressions.status] == documented
    assert flux.kstatus(found) == alone


FOUND: Final = [
    pytest.param(found, row, id=f"{row}: {name}") for row, founds in ROWS.items() for name, found in founds.items()
]


@pytest.mark.parametrize(("found", "row"), FOUND)
def test_the_page_says_which_condition_is_beside_ready(found: Object, row: str) -> None:
    conditions = found.get("status", {}).get("conditions", ())
    present = [one["type"] for one in conditions if one["type"] in {STALLED, RECONCILING}]

    assert (present or ["none"]) == [beside()[row]]


def test_a_wait_ends_with_the_reason_of_what_needs_a_change(flux: Flux) -> None:
    found = a_found(
        Failed(Reason.SECRET_NOT_FOUND, "Secret db-pasword of vault https://shop.vault.azure.net is missing.")
    )

    assert flux.health(found) == ("Failed", "Secret db-pasword of vault https://shop.vault.azure.net is missing.")


def a_found_grant(*ready: str) -> Object:
    """A VaultGrant as the API server returns it, with status and reason of its Ready condition."""
    status, reason = ready
    first = Condition(type=READY, status=status, reason=reason, message="Why.", last_transition_time=READ_AT)
    conditions = (first, *progress(first, (), now=READ_AT))
    written = VaultGrantStatus(observed_generation=1, conditions=conditions).to_wire()
    return {
        "apiVersion": API_VERSION,
        "kind": GRANT_KIND,
        "metadata": {"name": "shop", "generation": 1},
        "status": written,
    }


@pytest.mark.parametrize(
    ("ready", "status"),
    [
        (("True", REACHABLE), "Current"),
        (("True", UNUSED), "Current"),
        (("False", Reason.VAULT_UNREACHABLE), "InProgress"),
        (("Unknown", Reason.ACCESS_DENIED), "InProgress"),
        (("False", Reason.INVALID_SPEC), "Failed"),
        (("False", Reason.FIREWALL_DENIED), "Failed"),
    ],
    ids="-".join,
)
def test_tools_wait_for_grants_by_kstatus(flux: Flux, ready: tuple[str, str], status: str) -> None:
    found = a_found_grant(*ready)

    assert (flux.health(found).status, flux.kstatus(found).status) == (status, status)
