"""How objects fare in the eyes of Flux: its own rules and expressions, asked by a program; knows no kind of ours."""

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
        """What Flux makes of an object as the API server gives it.

        Args:
            found: The object.
            expressions: `current`, `failed` and `inProgress` as an entry of a Kustomization's `healthCheckExprs` has
                them; without, the rules for every kind hold.

        Raises:
            subprocess.CalledProcessError: An expression is none.
        """
        question = json.dumps({"object": found, "expressions": expressions})
        answer = subprocess.run([self._program], input=question, capture_output=True, text=True, check=True)
        return Health(**json.loads(answer.stdout))
