"""What users and other controllers do to a world during a soak; each action is chosen by a number from 0 to 1.

An action that the cluster refuses did not happen. Users call the API server past all proxies, so that no answer about
an action is lost.
"""

from collections.abc import Callable, Mapping
from typing import Final

import httpx

from tests.faults.harness import World

_MOST: Final = 6
"""VaultSecrets of a world at the same time."""


class Users:
    """Acts on one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made = 0

    def act(self, what: str, choice: float) -> bool:
        """Carry out an action; returns whether it happened."""
        try:
            ACTIONS[what](self, choice)
        except (AssertionError, httpx.TransportError):
            return False
        return True

    def rotate(self, choice: float) -> None:
        """Rotate one group."""
        self._world.rotate(self._chosen(choice))

    def rotate_all(self, _choice: float) -> None:
        """Rotate all groups at once."""
        self._world.rotate()

    def tamper(self, choice: float) -> None:
        """Change a target's content."""
        self._world.tamper(self._chosen(choice))

    def label(self, choice: float) -> None:
        """Label a target."""
        self._world.label(self._chosen(choice))

    def delete_target(self, choice: float) -> None:
        """Delete a target."""
        self._world.delete_target(self._chosen(choice))

    def create(self, choice: float) -> None:
        """Create a VaultSecret, unless there are many."""
        if len(self._world.model.wanted()) >= _MOST:
            return
        self._made += 1
        self._world.add(f"more-{self._made}", secrets=2 + int(choice * 3))

    def change(self, choice: float) -> None:
        """Make a VaultSecret show all of its secrets but one, or all again."""
        self._world.show(self._chosen(choice), all_but=int(choice * 100) % 2)

    def remove(self, choice: float) -> None:
        """Delete a VaultSecret that was created meanwhile."""
        made = [name for name in self._world.model.wanted() if name.startswith("more-")]
        if made:
            self._world.remove(made[int(choice * len(made))])

    def _chosen(self, choice: float) -> str:
        names = list(self._world.model.wanted())
        return names[int(choice * len(names))]


ACTIONS: Final[Mapping[str, Callable[[Users, float], None]]] = {
    action.__name__: action
    for action in (
        Users.rotate,
        Users.rotate_all,
        Users.tamper,
        Users.label,
        Users.delete_target,
        Users.create,
        Users.change,
        Users.remove,
    )
}
"""The actions by their names."""

WEIGHTS: Final[Mapping[str, int]] = {
    "rotate": 8,
    "rotate_all": 4,
    "tamper": 3,
    "label": 2,
    "delete_target": 2,
    "create": 2,
    "change": 2,
    "remove": 1,
}
"""How often each comes."""
