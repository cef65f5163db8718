"""What a fault is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

if TYPE_CHECKING:
    from tests.faults.harness import World

Layer = Literal["vault", "login", "kubernetes", "process", "leader"]
"""What breaks: `leader` is one of two operators, the one that leads."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks and is mended again.

    Args:
        name: Words for people: `black hole`. No two faults of a layer have the same.
        layer: What breaks.
        on: Breaks it.
        off: Mends it; does nothing if nothing is broken.
        soak: Whether the soak uses it; faults that need a control plane of their own are for scenarios alone.
    """

    name: str
    layer: Layer
    on: Callable[[World], None]
    off: Callable[[World], None]
    soak: bool = True

    @classmethod
    def of(
        cls, name: str, layer: Layer, breaking: Callable[[World], AbstractContextManager[object]], *, soak: bool = True
    ) -> Self:
        """Make a fault of a block that breaks something at its begin and mends it at its end."""
        broken: dict[str, ExitStack] = {}

        def on(world: World) -> None:
            stack = ExitStack()
            stack.enter_context(breaking(world))
            broken[world.namespace] = stack

        def off(world: World) -> None:
            if (stack := broken.pop(world.namespace, None)) is not None:
                stack.close()

        return cls(name, layer, on, off, soak)

    @contextmanager
    def during(self, world: World) -> Iterator[None]:
        """Break it until the block ends."""
        try:
            self.on(world)
            yield
        finally:
            self.off(world)

    def __str__(self) -> str:
        return f"{self.layer}: {self.name}"


_HERE: Final = Path(__file__).parent


def all_faults() -> tuple[Fault, ...]:
    """Every fault that a module `*_faults.py` lists in its `FAULTS`."""
    modules = [import_module(f"{__package__}.{path.stem}") for path in sorted(_HERE.glob("*_faults.py"))]
    return tuple(fault for module in modules for fault in module.FAULTS)
