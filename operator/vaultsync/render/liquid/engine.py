"""python-liquid in its strict mode: parses a template, renders it with values, and reports errors without any value.

Nothing here reads a clock, a file or another template, and the cost of a template is bounded: see `context.py`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Final, TypeVar

from liquid import BoundTemplate, Environment, Mode, RenderContext, StrictUndefined
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, KeywordArgument
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import BlockNestingError, LiquidError, LiquidSyntaxError, OutputStreamLimitError, UndefinedError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.token import Token

from vaultsync.render.liquid.context import Budget, Context, MissingContentError
from vaultsync.render.liquid.filters import FILTERS, OTHER_NAMES
from vaultsync.render.liquid.lexer import MAX_TAG, tokenize
from vaultsync.render.liquid.tags import TAGS
from vaultsync.render.liquid.values import MAX_PARTS, Binary, ValueFreeError
from vaultsync.render.passwords import Passwords
from vaultsync.render.values.documents import position

MAX_OUTPUT: Final = 1024 * 1024
"""In bytes: no more than a Secret can hold."""

MAX_BLOCKS: Final = 30
"""Levels of if, unless, for and capture inside each other."""

Result = TypeVar("Result")


class TemplateError(Exception):
    """Where a template is wrong, and how: the text follows the template's name, and holds nothing of any value."""


class ContentError(TemplateError):
    """The same of a template that fails for what it is rendered with, and may not fail for something else."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    source: str
    tree: BoundTemplate

    def render(self, values: Mapping[str, str | Binary], budget: Budget, passwords: Passwords | None = None) -> bytes:
        """Render the template with values, available by their names and as `entries`.

        Raises:
            ContentError: It fails for these values, or would cost too much.
            TemplateError: It uses a name that does not exist, or ends a loop that does not exist.
        """
        names = {**values, "entries": dict(values)}
        unknown = "no entry has this name; if it may be missing, add | default: ''"
        return _guarded(
            self.source, lambda: self._text(names, budget, passwords).encode(), partial(_render_problem, unknown)
        )

    def render_text(self, names: Mapping[str, object], budget: Budget) -> str:
        """Render the template with these names.

        Raises:
            ContentError: As `render`.
            TemplateError: As `render`.
        """
        unknown = 'there is no such name; write vault.name, vaultsecret.name or secrets["name"].tags.owner'
        return _guarded(self.source, lambda: self._text(names, budget), partial(_render_problem, unknown))

    def _text(self, names: Mapping[str, object], budget: Budget, passwords: Passwords | None = None) -> str:
        budget.charge_pass(len(self.source))
        buffer = LimitedStringIO(limit=MAX_OUTPUT)
        self.tree.render_with_context(Context(self.tree, names, budget, passwords), buffer)
        return buffer.getvalue()


def parse(source: str) -> Template:
    """Parse a template.

    Raises:
        TemplateError: It is not valid, or uses something that does not exist.
    """
    tree = _guarded(source, lambda: _inspected(_Environment().from_string(source)), _parse_problem)
    return Template(source, tree)


def _guarded(source: str, work: Callable[[], Result], explain: Callable[[LiquidError], str]) -> Result:
    try:
        return work()
    except LiquidError as error:
        kind = ContentError if _is_of_content(error) else TemplateError
        problem = f"{_place(source, error.token)}: {explain(error)}{_hint(source, error)}"
    except Exception:  # noqa: BLE001  an error that the library did not expect: its text may hold a value
        kind, problem = ContentError, ": this cannot be rendered"
    # Not inside the handlers: the errors would be the context, and may hold a value.
    raise kind(problem)


def _is_of_content(error: LiquidError) -> bool:
    return isinstance(error, MissingContentError) or not isinstance(error, UndefinedError | LiquidSyntaxError)


def _place(source: str, token: Token | None) -> str:
    """Return line and column, from 1, if they are known."""
    if token is None or token.start_index < 0:
        return ""
    return f", {position(source, token.start_index)}"


_OF_GO: Final = re.compile(
    r"\s*(?:(?:range|if|with|end|else|index|printf|include|template|define|block)\b|.*?(?<![\w)\]\"'])[.$][\w.\s]|\$)",
    re.DOTALL,
)
"""How an output begins in a Go template, as other operators have them."""


def _hint(source: str, error: LiquidError) -> str:
    """Return what to write in place of a Go template, in whose outputs Liquid finds nothing that it knows."""
    if error.token is None or isinstance(error, ValueFreeError):
        return ""
    opening = source.rfind("{{", 0, error.token.start_index + 1)
    inner = source[opening + 2 : opening + MAX_TAG].partition("}}")[0].strip("- ")
    if opening == -1 or not _OF_GO.match(inner):
        return ""
    return "; templates are Liquid, not Go: {{ password }}, {% if %}, {% for %}, see docs/templates.md"


def _parse_problem(error: LiquidError) -> str:
    """Describe an error of the parser; the library's text is safe, since there are no values yet."""
    if isinstance(error, BlockNestingError):
        return f"blocks nest deeper than {MAX_BLOCKS} levels; use fewer blocks inside each other"
    return str(error.message)


def _render_problem(unknown: str, error: LiquidError) -> str:
    """Describe an error of rendering in a text of our own: the library's may hold a value."""
    match error:
        case ValueFreeError():
            return error.problem
        case UndefinedError():
            return unknown
        case OutputStreamLimitError():
            return f"more than {MAX_OUTPUT} bytes would be written"
        case LiquidSyntaxError() if type(error) is LiquidSyntaxError:
            return "break and continue need a loop around them"
        case _:
            return "this does not work with what the entries hold"


class _Environment(Environment):
    output_stream_limit = MAX_OUTPUT
    block_nesting_limit = MAX_BLOCKS

    def __init__(self) -> None:
        super().__init__(tolerance=Mode.STRICT, undefined=StrictUndefined, strict_filters=True)

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        assert not extra
        for tag in TAGS:
            self.add_tag(tag)
        self.filters = dict(FILTERS)

    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        return tokenize


class _Optional(Expression):
    """A name that may be missing, because `default` follows."""

    __slots__ = ("_name",)

    def __init__(self, name: Expression) -> None:
        super().__init__(name.token)
        self._name = name

    def evaluate(self, context: RenderContext) -> object:
        try:
            return self._name.evaluate(context)
        except UndefinedError:
            return None

    def children(self) -> Iterable[Expression]:
        return [self._name]


class _Range(RangeLiteral):
    """A list of numbers, which costs its length; the library's may be endless."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[int]:  # type: ignore[override]  # for and join accept both
        assert isinstance(context, Context)
        numbers = self._make_range(self.start.evaluate(context), self.stop.evaluate(context))
        if numbers and numbers[-1] - numbers[0] >= MAX_PARTS:
            raise ValueFreeError(f"a range may have {MAX_PARTS} numbers, and this would be more", token=self.token)
        made = list(numbers)
        context.budget.charge_value(made)
        return made


def _inspected(template: BoundTemplate) -> BoundTemplate:
    """Refuse what the parser accepts and we do not support, bound ranges, allow missing names before `default`."""
    for expression in _expressions(template.nodes, RenderContext(template)):
        if isinstance(expression, RangeLiteral):
            expression.__class__ = _Range
        if isinstance(expression, FilteredExpression) and expression.filters:
            for used in expression.filters:
                _check_filter(used)
            if expression.filters[0].name == "default":
                expression.left = _Optional(expression.left)
    return template


def _check_filter(used: Filter) -> None:
    function = FILTERS.get(used.name)
    if function is None:
        instead = OTHER_NAMES.get(used.name)
        known = f"use {instead}" if instead else f"use one of {', '.join(FILTERS)}"
        raise ValueFreeError(f"there is no filter {used.name}; {known}", token=used.token)
    named = [argument.name for argument in used.args if isinstance(argument, KeywordArgument)]
    by_position = len(used.args) - len(named)
    try:
        signature(function).bind(*[None] * (1 + by_position), **dict.fromkeys(named))
    except TypeError:
        accepted = False
    else:
        accepted = set(named) <= _NAMED.get(used.name, frozenset())
    if not accepted:
        raise ValueFreeError(f"{used.name} does not accept these arguments", token=used.token)


_NAMED: Final = {"default": frozenset({"allow_false"})}
"""The arguments that have a name in Liquid."""


def _expressions(nodes: Iterable[Node], context: RenderContext) -> Iterator[Expression]:
    for node in nodes:
        for expression in node.expressions():
            yield from _parts(expression)
        yield from _expressions(node.children(context), context)


def _parts(expression: Expression) -> Iterator[Expression]:
    yield expression
    for part in expression.children():
        yield from _parts(part)
