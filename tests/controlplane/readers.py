"""What Go's libraries and the kubelet read in the data of Secrets, by a program around them; judges nothing itself."""

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Readers:
    """The program.

    Args:
        program: Where it is.
    """

    def __init__(self, program: Path) -> None:
        self._program = program

    def errors(self, secret_type: str, secrets: Sequence[Mapping[str, bytes]]) -> list[str]:
        """Return the reader's error for the data of each Secret of that type; empty if it is accepted."""
        encoded = [{key: base64.b64encode(content).decode() for key, content in data.items()} for data in secrets]
        question = json.dumps([{"type": secret_type, "data": data} for data in encoded])
        answer = subprocess.run([self._program], input=question, capture_output=True, text=True, check=True)
        errors: list[str] = json.loads(answer.stdout)
        return errors
