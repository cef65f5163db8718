"""A scene that knows the operator which serves it, for stories that look at what it measures."""

from dataclasses import dataclass, fields
from typing import Self

from tests.e2e.operators import RunningOperator
from tests.e2e.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedScene(Scene):
    """A scene, and the operator that serves it and all others."""

    operator: RunningOperator

    @classmethod
    def of(cls, scene: Scene, operator: RunningOperator) -> Self:
        """Let a scene know its operator."""
        return cls(**{field.name: getattr(scene, field.name) for field in fields(scene)}, operator=operator)
