"""python-liquid in its strict mode: parses a template, renders it with values, and reports errors without any value.

Nothing here reads a clock, a file or another template, and the cost of a template is bounded: see `context.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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

from vaultsync.render.liquid.context import Budget, Context
from vaultsync.render.liquid.filters import FILTERS, Binary, ValueFreeError
from vaultsync.render.liquid.lexer import tokenize
from vaultsync.render.liquid.tags import TAGS

MAX_OUTPUT: Final = 1024 * 1024
"""In bytes: no more than a Secret can hold."""

MAX_BLOCKS: Final = 30
"""Levels of if, unless, for and capture inside each other."""

_LINE_END: Final = "\n"

Result = TypeVar("Result")


class TemplateError(Exception):
    """Where a template is wrong, and how: the text follows the template's name, and holds nothing of any value."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    source: str
    tree: BoundTemplate

    def render(self, values: Mapping[str, str | Binary], budget: Budget) -> bytes:
        """Render the template with values, available by their names and as `entries`.

        Raises:
            TemplateError: It fails with these values, or would cost too much.
        """

        def rendered() -> bytes:
            budget.charge_pass(len(self.source))
            buffer = LimitedStringIO(limit=MAX_OUTPUT)
            self.tree.render_with_context(Context(self.tree, values, budget), buffer)
            return buffer.getvalue().encode()

        return _guarded(self.source, rendered, _render_problem)


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
        problem = f"{_place(source, error.token)}: {explain(error)}"
    except Exception:  # noqa: BLE001  an error that the library did not expect: its text may hold a value
        problem = ": this cannot be rendered"
    # Not inside the handlers: the errors would be the context, and may hold a value.
    raise TemplateError(problem)


def _place(source: str, token: Token | None) -> str:
    """Return line and column, from 1, if they are known."""
    if token is None or token.start_index < 0:
        return ""
    before = source[: token.start_index]
    return f", line {before.count(_LINE_END) + 1}, column {len(before) - before.rfind(_LINE_END)}"


def _parse_problem(error: LiquidError) -> str:
    """Describe an error of the parser; the library's text is safe, since there are no values yet."""
    if isinstance(error, BlockNestingError):
        return f"blocks nest deeper than {MAX_BLOCKS} levels; use fewer blocks inside each other"
    return str(error.message)


def _render_problem(error: LiquidError) -> str:
    """Describe an error of rendering in a text of our own: the library's may hold a value."""
    match error:
        case ValueFreeError():
            return error.problem
        case UndefinedError():
            return "no entry has this name; if it may be missing, add | default: ''"
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


def _inspected(template: BoundTemplate) -> BoundTemplate:
    """Refuse what the parser accepts and we do not support; allow a missing name where `default` follows."""
    for expression in _expressions(template.nodes, RenderContext(template)):
        if isinstance(expression, RangeLiteral):
            problem = "ranges are not supported; loop over entries, or over the result of split"
            raise ValueFreeError(problem, token=expression.token)
        if isinstance(expression, FilteredExpression) and expression.filters:
            for used in expression.filters:
                _check_filter(used)
            if expression.filters[0].name == "default":
                expression.left = _Optional(expression.left)
    return template


def _check_filter(used: Filter) -> None:
    function = FILTERS.get(used.name)
    if function is None:
        raise ValueFreeError(f"there is no filter {used.name}; use one of {', '.join(FILTERS)}", token=used.token)
    try:
        signature(function).bind(None, *used.args)
    except TypeError:
        accepted = False
    else:
        accepted = not any(isinstance(argument, KeywordArgument) for argument in used.args)
    if not accepted:
        raise ValueFreeError(f"{used.name} does not accept these arguments", token=used.token)


def _expressions(nodes: Iterable[Node], context: RenderContext) -> Iterator[Expression]:
    for node in nodes:
        for expression in node.expressions():
            yield from _parts(expression)
        yield from _expressions(node.children(context), context)


def _parts(expression: Expression) -> Iterator[Expression]:
    yield expression
    for part in expression.children():
        yield from _parts(part)
