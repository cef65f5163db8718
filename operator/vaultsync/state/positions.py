"""How far a replica has observed the API server, as it tells the next holder of its Lease; observes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """The highest resource versions that a replica has observed or written, of VaultSecrets and of targets that exist.

    A watch has an order: a replica whose watch has brought these has observed all changes that the other acted upon.
    Its own writes are ahead of its watch, and show nothing. A deletion leaves no version: the resync after each gain
    finds it.
    """

    vaultsecrets: int
    targets: int


def farthest(positions: Iterable[Position | None]) -> Position | None:
    """Return the position that is as far as all of these; None if one of them is not known, or there are none."""
    known: list[Position] = []
    for position in positions:
        if position is None:
            return None
        known.append(position)
    if not known:
        return None
    return Position(max(one.vaultsecrets for one in known), max(one.targets for one in known))
