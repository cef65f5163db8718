"""`vaultsync status`: all VaultSecrets, those that are not ready first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from vaultsync.adapters.kube import ResourceExpired
from vaultsync.adapters.kube.reader import VAULTSECRETS
from vaultsync.api.fields import format_duration, format_timestamp, parse_duration
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.cli.ages import duration, until
from vaultsync.cli.output import Cell, Row, Style
from vaultsync.cli.session import Session
from vaultsync.status.conditions import EXPIRING, READY, condition
from vaultsync.status.freshness import last_success
from vaultsync.texts import MAX_NAME, one_line

PENDING: Final = "Pending"
"""The reason of a VaultSecret that the operator has not seen yet, as in the metrics."""

_STYLES: Final = {"True": Style.GOOD, "False": Style.BAD}
_ORDER: Final = {"False": 0, "Unknown": 1, "True": 2}
_TITLES: Final = ("NAME", "READY", "REASON", "LAST SUCCESS", "EXPIRES")
_DEFAULT_INTERVAL: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class VaultSecretState:
    """A VaultSecret as its status shows it."""

    namespace: str
    name: str
    ready: str
    reason: str
    message: str
    vault_url: str
    interval: timedelta
    last_success: datetime | None
    """When the Secret was last confirmed to match the vault; None for never. While it is ready, each poll confirms it,
    and this is when the values were last read."""
    expires: datetime | None
    is_expiring: bool

    @property
    def sort_key(self) -> tuple[int, str, str]:
        """Those that are not ready first, then by name."""
        return _ORDER.get(self.ready, 1), self.namespace, self.name

    def row(self, now: datetime, *, with_namespace: bool, is_wide: bool) -> Row:
        """Return the row of the table."""
        expires = "" if self.expires is None else until(self.expires, now)
        cells = [
            Cell(self.name),
            Cell(self.ready, _STYLES.get(self.ready, Style.WARNING)),
            Cell(self.reason),
            Cell(self._age(now)),
            Cell(expires, Style.WARNING if self.is_expiring else Style.PLAIN),
        ]
        wide = [Cell(self.vault_url), Cell(self.message)] if is_wide else []
        return [*([Cell(self.namespace)] if with_namespace else []), *cells, *wide]

    def _age(self, now: datetime) -> str:
        if self.ready == "True":
            # Each poll confirms it, and none of them is written into the status.
            return f"<{format_duration(self.interval)}"
        return "never" if self.last_success is None else duration(now - self.last_success)

    def document(self) -> dict[str, Any]:
        """Return it as JSON. While it is ready, each poll is a success, and `lastSuccessTime` is null."""
        success = None if self.ready == "True" else self.last_success
        return {
            "namespace": self.namespace,
            "name": self.name,
            "ready": self.ready,
            "reason": self.reason,
            "message": self.message,
            "vaultUrl": self.vault_url,
            "refreshInterval": format_duration(self.interval),
            "lastSuccessTime": None if success is None else format_timestamp(success),
            "expiryTime": None if self.expires is None else format_timestamp(self.expires),
        }


def state_of(body: Mapping[str, Any]) -> VaultSecretState:
    """Return the state of a VaultSecret, also of one whose spec is not valid."""
    found = VaultSecretMeta.parse(body)
    ready, expiring = condition(found.status, READY), condition(found.status, EXPIRING)
    spec = body.get("spec")
    spec = spec if isinstance(spec, Mapping) else {}
    status, reason, message = "Unknown", PENDING, "The operator has not reconciled it yet."
    if ready is not None:
        # A longer reason than ours would make the column as wide for all others.
        status, reason, message = ready.status, one_line(ready.reason, MAX_NAME), ready.message
        if found.status.observed_generation != found.metadata.generation:
            status, reason = "Unknown", PENDING
            message = f"The operator has not reconciled the present spec yet; before that: {ready.message}"
    return VaultSecretState(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        ready=status,
        reason=reason,
        message=message,
        vault_url=str(spec.get("vaultUrl") or ""),
        interval=_interval(spec.get("refreshInterval")),
        last_success=last_success(found.status, None),
        expires=found.status.expires,
        is_expiring=expiring is not None and expiring.status == "True",
    )


def summary(states: Iterable[VaultSecretState]) -> str:
    """Return how many there are of each state."""
    counts = Counter(state.ready for state in states)
    parts = [(counts["True"], "ready"), (counts["False"], "not ready")]
    parts.append((sum(counts.values()) - counts["True"] - counts["False"], "unknown"))
    return ", ".join(f"{number} {name}" for number, name in parts if number)


def titles(*, with_namespace: bool, is_wide: bool) -> Sequence[str]:
    """Return the titles of the table."""
    return (*(("NAMESPACE",) if with_namespace else ()), *_TITLES, *(("VAULT", "MESSAGE") if is_wide else ()))


async def status(session: Session) -> int:
    """Print all VaultSecrets of a namespace, or of all; then, if asked, each that changes."""
    namespace, output = session.namespace, session.output
    states, version = await session.cluster.list(VAULTSECRETS, namespace, state_of)
    ordered = sorted(states, key=lambda state: state.sort_key)
    if session.options.output == "json":
        output.json({"items": [state.document() for state in ordered]})
        return 0
    show = {"with_namespace": namespace is None, "is_wide": session.options.output == "wide"}
    if not ordered:
        where = "in the cluster" if namespace is None else f"in namespace {namespace}; -A shows all namespaces"
        output.line(Cell(f"No VaultSecrets {where}."))
    else:
        output.table(titles(**show), (state.row(session.now(), **show) for state in ordered))
        output.line(Cell(summary(ordered), Style.BOLD))
    if session.options.watch:
        await _watch(session, version, {(state.namespace, state.name): state for state in states}, show)
    return 0


async def _watch(
    session: Session, version: str, known: dict[tuple[str, str], VaultSecretState], show: Mapping[str, bool]
) -> None:
    """Print each VaultSecret whose state changes, until the command is interrupted."""
    while True:
        session.output.flush()
        try:
            async with aclosing(session.cluster.watch(VAULTSECRETS, session.namespace, version)) as events:
                async for kind, body in events:
                    version = str(body["metadata"]["resourceVersion"])
                    if kind != "BOOKMARK":
                        _print_change(session, kind, state_of(body), known, show)
        except ResourceExpired:
            states, version = await session.cluster.list(VAULTSECRETS, session.namespace, state_of)
            current = {(state.namespace, state.name): state for state in states}
            for state in [known[key] for key in known.keys() - current.keys()]:
                _print_change(session, "DELETED", state, known, show)
            for state in states:
                _print_change(session, "MODIFIED", state, known, show)


def _print_change(
    session: Session,
    kind: str,
    state: VaultSecretState,
    known: dict[tuple[str, str], VaultSecretState],
    show: Mapping[str, bool],
) -> None:
    key = (state.namespace, state.name)
    if kind == "DELETED":
        known.pop(key, None)
        session.output.line(Cell(f"{state.namespace}/{state.name} was deleted"))
    elif known.get(key) != state:
        known[key] = state
        session.output.row(state.row(session.now(), **show))
    session.output.flush()


def _interval(text: object) -> timedelta:
    try:
        return parse_duration(text) if isinstance(text, str) else _DEFAULT_INTERVAL
    except ValueError:
        return _DEFAULT_INTERVAL
