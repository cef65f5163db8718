"""The health of objects by Flux's own rules and expressions, evaluated by a program; knows no kind of ours."""

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
        question = json.dumps({"object": found, "expressions": expressions})
        answer = subprocess.run([self._program], input=question, capture_output=True, text=True, check=True)
        return Health(**json.loads(answer.stdout))
