"""The health of objects by the rules of Flux and of kstatus, evaluated by a program; knows no kind of ours."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Health(NamedTuple):
    """A status of kstatus (`Current`, `InProgress`, `Failed`, `Unknown`, …) and why."""

    status: str
    message: str


class Flux:
    """The program.

    Args:
        program: Where it is.
    """

    def __init__(self, program: Path) -> None:
        self._program = program

    def health(self, found: Mapping[str, Any], expressions: Mapping[str, str] | None = None) -> Health:
        """Return the health of an object as the API server returns it.

        Args:
            found: The object.
            expressions: `current`, `failed` and `inProgress` as an entry of a Kustomization's `healthCheckExprs` has
                them; by default, the rules for every kind are used.

        Raises:
            subprocess.CalledProcessError: An expression is not valid.
        """
        return self._ask(object=found, expressions=expressions)

    def kstatus(self, found: Mapping[str, Any]) -> Health:
        """Return the health of an object by kstatus itself, of which Flux has a copy."""
        return self._ask(object=found, kstatus=True)

    def _ask(self, **question: object) -> Health:
        text = json.dumps(question)
        answer = subprocess.run([self._program], input=text, capture_output=True, text=True, check=True)
        return Health(**json.loads(answer.stdout))
