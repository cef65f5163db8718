"""The tags that templates may use: outputs, if, unless, case, for, assign and capture.

Comments and raw are in the lexer. Left out on purpose: tags that read files or other templates, that write HTML, or
that keep counters. docs/templates.md names them.
"""

from typing import Final, TextIO

from liquid import Mode, RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.content import Literal
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.illegal import Illegal
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignTag
from liquid.builtin.tags.capture_tag import CaptureTag
from liquid.builtin.tags.case_tag import CaseNode, CaseTag, MultiExpressionBlockNode
from liquid.builtin.tags.for_tag import BreakTag, ContinueTag, ForNode, ForTag
from liquid.builtin.tags.if_tag import IfTag
from liquid.builtin.tags.unless_tag import UnlessTag
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.token import Token

from vaultsync.render.liquid.context import Context
from vaultsync.render.liquid.values import ValueFreeError, text_of


class _Placed(Tag):
    """Adds its position to errors that have none, such as an unexpected end."""

    def get_node(self, stream: TokenStream) -> Node:
        token = stream.current
        try:
            return self.parse(stream)
        except LiquidError as error:
            if error.token is None or error.token.start_index < 0:
                error.token = token
            raise


class _OutputNode(OutputNode):
    """Writes texts, and refuses what the library would write as Python's `repr`."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        try:
            text = text_of(value)
        except ValueFreeError as error:
            error.token = self.token
            raise
        return buffer.write(text)


class _Output(_Placed, Output):
    node_class = _OutputNode


class _Body(BlockNode):
    """The body of a loop: each pass costs its length."""

    __slots__ = ("_length",)

    def __init__(self, block: BlockNode, length: int) -> None:
        super().__init__(block.token, block.nodes)
        self._length = length

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        context.budget.charge_pass(self._length)
        return super().render_to_output(context, buffer)


class _ForNode(ForNode):
    __slots__ = ()

    def __init__(
        self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None = None
    ) -> None:
        # The block's token is that of the tag that ends it.
        super().__init__(token, expression, _Body(block, block.token.start_index - token.start_index), default)


class _For(_Placed, ForTag):
    node_class = _ForNode


class _WhenNode(MultiExpressionBlockNode):
    """A branch of a case. It is rendered once: the library renders it once for each of its values that match."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return self.block.render(context, buffer) if any(self.expression.evaluate(context)) else -1


class _CaseNode(CaseNode):
    __slots__ = ()

    def __init__(
        self, token: Token, expression: Expression, blocks: list[MultiExpressionBlockNode | BlockNode]
    ) -> None:
        super().__init__(token, expression, [_once(block) for block in blocks])


def _once(block: MultiExpressionBlockNode | BlockNode) -> MultiExpressionBlockNode | BlockNode:
    if isinstance(block, MultiExpressionBlockNode):
        return _WhenNode(block.token, block.block, block.expression)
    return block


class _Case(_Placed, CaseTag):
    node_class = _CaseNode


class _If(_Placed, IfTag):
    mode = Mode.STRICT


class _Unless(_Placed, UnlessTag):
    mode = Mode.STRICT


class _Assign(_Placed, AssignTag):
    pass


class _Capture(_Placed, CaptureTag):
    pass


TAGS: Final[tuple[type[Tag], ...]] = (
    Literal,
    Illegal,
    _Output,
    _If,
    _Unless,
    _Case,
    _For,
    BreakTag,
    ContinueTag,
    _Assign,
    _Capture,
)
