"""When an ExternalSecret is refreshed: its interval, its policy and its windows of time."""

import re
from datetime import timedelta
from typing import Final

from vaultsync.api.fields import format_duration
from vaultsync.convert.drafts import At, Draft
from vaultsync.convert.nodes import Node

_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?P<unit>ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_SHORTEST: Final = timedelta(seconds=10)
_LONGEST: Final = timedelta(hours=24)


def convert(draft: Draft, spec: Node) -> None:
    """Convert what a spec says about the time of refreshes."""
    policy, windows, interval = (spec.child(name) for name in ("refreshPolicy", "syncWindows", "refreshInterval"))
    if policy is not None and policy.text() not in {"Periodic", ""}:
        draft.lose(policy, "a VaultSecret always follows the vault", "pin version to keep a value")
    if windows is not None:
        draft.lose(windows, "vaultsync has no windows of time", "set suspend: true outside of them")
    if interval is None:
        return
    given = _duration(interval.text())
    if given is None:
        draft.lose(interval, "this is not a duration", "write one such as 5m")
    elif not given:
        draft.lose(interval, "a VaultSecret always follows the vault", "pin version to keep a value")
    else:
        fitting = min(max(timedelta(seconds=round(given.total_seconds())), _SHORTEST), _LONGEST)
        draft.spec["refreshInterval"] = At(format_duration(fitting), interval.place)
        if fitting != given:
            interval.report("an interval is from 10s to 24h in whole seconds", f"{format_duration(fitting)} is used")


def _duration(text: str) -> timedelta | None:
    """Return a duration as Go writes it."""
    if text == "0":
        return timedelta()
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text or len(parts) > len(_SECONDS):
        return None
    seconds = sum(float(part["number"]) * _SECONDS[part["unit"]] for part in parts)
    return min(timedelta(seconds=min(seconds, 1e9)), timedelta(days=3650))
