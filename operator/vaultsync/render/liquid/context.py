"""Resolves names of a template and counts what it costs; does not know tags.

The cost is counted, not timed, so the same template and values always have the same result. It counts the bytes that
lookups and filters touch, the items and texts of lists, and the template's own characters, once per pass of a loop.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from liquid import BoundTemplate, RenderContext
from liquid.exceptions import UndefinedError
from liquid.token import Token
from liquid.utils import ReadOnlyChainMap

from vaultsync.render.liquid.values import Binary, ValueFreeError
from vaultsync.render.passwords import Passwords

MAX_COST: Final = 8 * 1024 * 1024
"""In bytes touched, by all templates of one target together."""

MAX_HASHES: Final = 40
"""Of passwords: each takes some 60 ms of another process."""

_CHARACTER_COST: Final = 16
"""In bytes: the cost of one pass over a character of a template."""

_ITEM_COST: Final = 16
"""In bytes: the cost of one item of a list."""

_SLOW_FILTERS: Final = frozenset({"pem_certificate", "pem_chain", "pem_private_key", "url_decode", "yaml"})
"""Those that do their work in Python, for each part of a text."""

_SLOW_COST: Final = 4
"""In bytes: the cost of a byte of what they are applied to."""

_ABSENT: Final = object()


class MissingContentError(UndefinedError):
    """A name does not exist, and may exist if the template is rendered with something else."""


class Budget:
    """What may still be spent, for all templates of one target together."""

    def __init__(self, cost: int = MAX_COST) -> None:
        self._left = cost

    def charge_value(self, value: object, times: int = 1) -> None:
        """Charge for a value that is looked up or created, as if that were done so many times.

        Raises:
            ValueFreeError: The budget is spent.
        """
        match value:
            case str() | Binary():
                self._charge(times * len(value))
            case list():
                # A list may have one long text many times: no copy is made, but filters work on each of them.
                texts = sum(len(part) for part in value if isinstance(part, str))
                self._charge(times * (_ITEM_COST * len(value) + texts))
            case dict():
                self._charge(times * _ITEM_COST * len(value))

    def charge_hash(self) -> None:
        """Charge for the hash of a password.

        Raises:
            ValueFreeError: The budget is spent.
        """
        self._charge(MAX_COST // 2 // MAX_HASHES)

    def charge_pass(self, characters: int) -> None:
        """Charge for one pass over a part of a template.

        Raises:
            ValueFreeError: The budget is spent.
        """
        self._charge(_CHARACTER_COST * characters)

    def _charge(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise ValueFreeError("this takes more work than all templates of a target together may; check the loops")


class Context(RenderContext):
    """Resolves names, all of which must exist, and charges for what is touched."""

    __slots__ = ("_entries", "budget", "passwords")

    def __init__(
        self,
        template: BoundTemplate,
        names: Mapping[str, object],
        budget: Budget,
        passwords: Passwords | None = None,
    ) -> None:
        entries = names.get("entries")
        self._entries: Mapping[str, object] = entries if isinstance(entries, dict) else {}
        super().__init__(template, globals=names)
        self.scope = ReadOnlyChainMap(self.locals, self.globals)  # the library's own has now and today, too
        self.budget = budget
        self.passwords = passwords

    def get(self, path: list[object], *, token: Token | None, default: object = _ABSENT) -> object:
        """Return what is at a path of names.

        Raises:
            UndefinedError: A name does not exist. The library would postpone the error, and comparisons would pass.
            ValueFreeError: The budget is spent.
        """
        found = super().get(path, token=token, default=default)
        if found is _ABSENT:
            self._check_dots(path, token)
            raise (MissingContentError if self._depends_on_content(path, token) else UndefinedError)("", token=token)
        self.budget.charge_value(found)
        return found

    def _depends_on_content(self, path: list[object], token: Token | None) -> bool:
        """Return whether a path begins with a name that a template sets itself, or has a step that it does not spell.

        What a template is rendered with decides, then, whether there is something.
        """
        source = "" if token is None else token.source
        root, *steps = map(str, path)
        is_set = root not in self.globals and re.search(rf"\b(?:assign|capture|for)\s+{re.escape(root)}\b", source)
        return bool(is_set) or any(step not in source for step in steps)

    def _check_dots(self, path: list[object], token: Token | None) -> None:
        """Explain a path that spells the name of an entry."""
        name = ".".join(map(str, path)).removeprefix("entries.")
        if name in self._entries:
            raise ValueFreeError(f"dots separate parts of a path; write entries[{name!r}]", token=token)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Return a filter that charges for its result and, if it is slow, for what it is applied to."""
        apply = super().filter(name, token)
        input_cost = _SLOW_COST if name in _SLOW_FILTERS else 0

        def charged(*values: object, **named: object) -> object:
            self.budget.charge_value(values[0], input_cost)
            result = apply(*values, **named)
            self.budget.charge_value(result)
            return result

        return charged
