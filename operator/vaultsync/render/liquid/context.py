"""How a template finds names, and what it may cost; knows no tag.

The cost is counted, not timed, so that the same template and values always come out the same: the bytes that lookups
and filters touch, the items of lists, and the template's own characters as often as a loop goes through them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from liquid import BoundTemplate, RenderContext
from liquid.exceptions import UndefinedError
from liquid.token import Token
from liquid.utils import ReadOnlyChainMap

from vaultsync.render.liquid.filters import Binary, Refusal

BUDGET: Final = 8 * 1024 * 1024
"""In bytes touched."""

_CHARACTER: Final = 16
"""How many bytes weigh as much as one character of a template that is gone through."""

_ITEM: Final = 16
"""How many bytes weigh as much as one item of a list."""

_ABSENT: Final = object()


class Meter:
    """Counts what may still be spent, for all templates of one target together."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._left = budget

    def read(self, value: object) -> None:
        """Count a value that is looked up or made."""
        match value:
            case str() | Binary():
                self._spend(len(value))
            case list() | dict():
                self._spend(_ITEM * len(value))

    def pass_through(self, characters: int) -> None:
        """Count a part of a template that is gone through once."""
        self._spend(_CHARACTER * characters)

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise Refusal("this takes more work than all templates of a target together may; look at the loops")


class Context(RenderContext):
    """Finds names, every one of which must be there, and counts what is touched."""

    __slots__ = ("meter",)

    def __init__(self, template: BoundTemplate, values: Mapping[str, str | Binary], meter: Meter) -> None:
        super().__init__(template, globals={**values, "entries": dict(values)})
        self.scope = ReadOnlyChainMap(self.locals, self.globals)  # the library's own holds now and today as well
        self.meter = meter

    def get(self, path: list[object], *, token: Token | None, default: object = _ABSENT) -> object:
        """Follow a path of names.

        Raises:
            UndefinedError: There is no such thing. The library would put it off, and let comparisons pass.
            Refusal: The meter has run out.
        """
        found = super().get(path, token=token, default=default)
        if found is _ABSENT:
            raise UndefinedError("", token=token)
        self.meter.read(found)
        return found

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Give a filter that counts what it makes."""
        apply = super().filter(name, token)

        def metered(*values: object) -> object:
            result = apply(*values)
            self.meter.read(result)
            return result

        return metered
