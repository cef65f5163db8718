"""python-liquid at its strictest: reads a template, fills in values, and says what is wrong without any of them.

Nothing here reads a clock, a file or another template, and every template ends soon: see `context.py`.
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
from liquid.exceptions import LiquidError, LiquidSyntaxError, OutputStreamLimitError, UndefinedError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.token import Token

from vaultsync.render.liquid.context import Context, Meter
from vaultsync.render.liquid.filters import FILTERS, Binary, Refusal
from vaultsync.render.liquid.lexer import tokenize
from vaultsync.render.liquid.tags import TAGS

MAX_OUTPUT: Final = 1024 * 1024
"""In bytes: more than a Secret could hold is not worth writing."""

_LINE_END: Final = "\n"

Result = TypeVar("Result")


class Broken(Exception):
    """Where a template is wrong, and how: a text that goes after its name, and holds nothing of any value."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read."""

    source: str
    tree: BoundTemplate

    def render(self, values: Mapping[str, str | Binary], meter: Meter) -> bytes:
        """Fill in the values, by their names and as `entries`.

        Raises:
            Broken: It cannot be done with these values, or would cost too much.
        """

        def rendered() -> bytes:
            meter.pass_through(len(self.source))
            buffer = LimitedStringIO(limit=MAX_OUTPUT)
            self.tree.render_with_context(Context(self.tree, values, meter), buffer)
            return buffer.getvalue().encode()

        return _guarded(self.source, rendered, _trouble)


def parse(source: str) -> Template:
    """Read a template.

    Raises:
        Broken: It is none, or uses something that is not there.
    """
    # The library's own words will do: there are no values yet that they could hold.
    tree = _guarded(source, lambda: _inspected(_Environment().from_string(source)), lambda error: str(error.message))
    return Template(source, tree)


def _guarded(source: str, work: Callable[[], Result], explain: Callable[[LiquidError], str]) -> Result:
    try:
        return work()
    except LiquidError as error:
        broken = Broken(f"{_place(source, error.token)}: {explain(error)}")
    except Exception:  # noqa: BLE001  whatever the library did not foresee: its text may hold a value
        broken = Broken(": this cannot be rendered")
    # Not inside the handlers: the errors would come along as context, and may know a value.
    raise broken


def _place(source: str, token: Token | None) -> str:
    """Tell line and column, from 1, if they are known."""
    if token is None or token.start_index < 0:
        return ""
    before = source[: token.start_index]
    return f", line {before.count(_LINE_END) + 1}, column {len(before) - before.rfind(_LINE_END)}"


def _trouble(error: LiquidError) -> str:
    """Say what went wrong while values were filled in: in our words, for the library's may hold a value."""
    match error:
        case Refusal():
            return error.trouble
        case UndefinedError():
            return "no entry has this name; where one may be missing, add | default: ''"
        case OutputStreamLimitError():
            return f"more than {MAX_OUTPUT} bytes would be written"
        case LiquidSyntaxError() if type(error) is LiquidSyntaxError:
            return "there is no loop here to break or continue"
        case _:
            return "this cannot be done with what the entries hold"


class _Environment(Environment):
    output_stream_limit = MAX_OUTPUT

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
    """A name that may be missing, since `default` follows."""

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
    """Refuse what the parser takes and we don't have; let a name be missing where `default` follows."""
    for expression in _expressions(template.nodes, RenderContext(template)):
        if isinstance(expression, RangeLiteral):
            trouble = "there are no ranges; a loop goes over entries, or over what split makes"
            raise Refusal(trouble, token=expression.token)
        if isinstance(expression, FilteredExpression) and expression.filters:
            for used in expression.filters:
                _check_filter(used)
            if expression.filters[0].name == "default":
                expression.left = _Optional(expression.left)
    return template


def _check_filter(used: Filter) -> None:
    function = FILTERS.get(used.name)
    if function is None:
        raise Refusal(f"there is no filter {used.name}; there are {', '.join(FILTERS)}", token=used.token)
    try:
        signature(function).bind(None, *used.args)
    except TypeError:
        takes = False
    else:
        takes = not any(isinstance(argument, KeywordArgument) for argument in used.args)
    if not takes:
        raise Refusal(f"{used.name} does not take these arguments", token=used.token)


def _expressions(nodes: Iterable[Node], context: RenderContext) -> Iterator[Expression]:
    for node in nodes:
        for expression in node.expressions():
            yield from _parts(expression)
        yield from _expressions(node.children(context), context)


def _parts(expression: Expression) -> Iterator[Expression]:
    yield expression
    for part in expression.children():
        yield from _parts(part)
