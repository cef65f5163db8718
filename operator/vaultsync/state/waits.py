"""Since when missing secrets, refreshes and refusals are known, by the monotonic clock; reads no clock itself.

A jump of the operator's clock neither cuts such a wait short nor stretches it.
"""

from collections.abc import Iterable, Mapping

from vaultsync.api import ObjectKey
from vaultsync.api.status import StatusMissing


class Waits:
    """Per VaultSecret: since when this process has known its `status.missing`, its requested refresh and a refusal.

    `Reads` has what was read last of each secret of a vault; `Absences` has which secrets reads have found missing.
    """

    def __init__(self) -> None:
        self._since: dict[ObjectKey, dict[tuple[str, str, int], float]] = {}
        self._refreshes: dict[ObjectKey, tuple[str, float]] = {}
        self._refusals: dict[ObjectKey, float] = {}

    def observe(self, key: ObjectKey, missing: Iterable[StatusMissing], now: float) -> Mapping[tuple[str, str], float]:
        """Return for how many seconds each has been known, by name and key; forgets the others of that VaultSecret.

        One that is missing since another time is another wait; what was removed does not wait any more.
        """
        before = self._since.get(key, {})
        waits = {one: before.get(one, now) for one in (_wait(item) for item in missing if item.removed is None)}
        if waits:
            self._since[key] = waits
        else:
            self._since.pop(key, None)
        return {(name, key): now - since for (name, key, _), since in waits.items()}

    def observe_refresh(self, key: ObjectKey, text: str | None, now: float) -> float | None:
        """Return since when the refresh with that text has been requested; None if none is."""
        if text is None:
            self._refreshes.pop(key, None)
            return None
        before, since = self._refreshes.get(key, (None, now))
        self._refreshes[key] = text, since if before == text else now
        return self._refreshes[key][1]

    def observe_refusal(self, key: ObjectKey, now: float, *, refused: bool) -> float:
        """Return for how many seconds a VaultSecret has been refused by the grants; 0 if it is not."""
        if not refused:
            self._refusals.pop(key, None)
            return 0.0
        return now - self._refusals.setdefault(key, now)

    def forget(self, key: ObjectKey) -> None:
        """Forget a VaultSecret that does not exist any more."""
        self._since.pop(key, None)
        self._refreshes.pop(key, None)
        self._refusals.pop(key, None)


def _wait(missing: StatusMissing) -> tuple[str, str, int]:
    return missing.secret_name, missing.key, int(missing.since.timestamp())
