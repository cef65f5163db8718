"""The harness of a scenario that reads the metrics of the operator which serves all scenarios of this folder."""

from dataclasses import dataclass, fields
from typing import Self

from tests.e2e.harness import Harness
from tests.e2e.operators import RunningOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedHarness(Harness):
    """A harness, and the operator that serves it and all others."""

    operator: RunningOperator

    @classmethod
    def of(cls, harness: Harness, operator: RunningOperator) -> Self:
        """Add the operator to a harness."""
        return cls(**{field.name: getattr(harness, field.name) for field in fields(harness)}, operator=operator)
