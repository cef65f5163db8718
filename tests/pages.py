"""The pages of the documentation, their code blocks, and the commands in these; runs nothing."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_BLOCK: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_CONTINUED: Final = re.compile(r"\\\n\s*")
_HEREDOC: Final = re.compile(r"<<'?(?P<end>\w+)'?(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=end)$", re.MULTILINE | re.DOTALL)
_OPERATORS: Final = "|&;()<>"
SHELL: Final = frozenset({"console", "sh"})


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page; `place` has the page and its line."""

    place: str
    language: str
    text: str

    @property
    def script(self) -> str:
        """What a user types: in a block with prompts, the lines that begin with one."""
        lines = self.text.splitlines()
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return "\n".join(typed) if typed else self.text

    @property
    def input(self) -> list[str]:
        """The texts that the script passes to commands."""
        return [found["text"] for found in _HEREDOC.finditer(self.script)]

    @property
    def commands(self) -> list[list[str]]:
        """The commands of the script as words, with variables as they are written."""
        script = _HEREDOC.sub(r"\g<rest>", _CONTINUED.sub(" ", self.script))
        return [command for line in script.splitlines() for command in _commands(line)]


def pages() -> list[Path]:
    """Every page."""
    outside = [_ROOT / "bench" / "README.md", _ROOT / "charts" / "vaultsync" / "README.md"]
    return sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md"), *outside])


@cache
def code_blocks() -> list[Block]:
    """The code blocks of all pages."""
    return [
        Block(
            f"{page.relative_to(_ROOT)}:{text.count(chr(10), 0, found.start()) + 1}",
            found["language"],
            dedent(found["text"]),
        )
        for page in pages()
        for text in [page.read_text()]
        for found in _BLOCK.finditer(text)
    ]


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(_OPERATORS):
            if command:
                yield command
            command = []
        else:
            command.append(word)
