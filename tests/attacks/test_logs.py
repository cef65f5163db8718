"""What others write into the log: lines and fields of their own, sequences for terminals, and tokens."""

import io
import json
import logging
import shlex
from collections.abc import Iterator
from typing import Final

import pytest

from tests.logging_state import restored_logging
from vaultsync.adapters.logs import MAX_BYTES, set_up_logs

FORGED: Final = (
    "db\r\n2026-01-31T12:00:00.000Z INFO vaultsync.x: deleted target vaultsecret=kube-system/admin\u2028"
    '{"message": "deleted target"}\x1b[2K\u202e\x00'
)
"""A line of its own in both formats, by each character that ends one; and what a terminal obeys."""

TOKEN: Final = "eyJ0eXAi.secret.token"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored_logging():
        yield


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> io.StringIO:
    """What the operator logs, in each format, at the level that shows most."""
    stream = io.StringIO()
    set_up_logs(stream, level="debug", as_json=request.param == "json")
    return stream


def the_only_line(log: io.StringIO) -> str:
    """The line that was logged; fails if there is another one, for any reader of lines."""
    line, nothing = log.getvalue().split("\n")
    assert nothing == ""
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    return line


def test_a_text_of_others_does_not_begin_a_line(log: io.StringIO) -> None:
    """Whoever chooses a text that is logged ends the line with it, and begins one that says what never happened."""
    logging.getLogger("vaultsync.x").warning("not in sync", extra={"vaultsecret": "shop/db", "detail": FORGED})

    assert "not in sync" in the_only_line(log)


def test_a_text_of_others_does_not_add_a_field(log: io.StringIO) -> None:
    """Whoever chooses a text that is logged writes another field into it, such as the object that the line is about."""
    detail = 'x" vaultsecret=kube-system/admin reason="Synced'
    logging.getLogger("vaultsync.x").warning("not in sync", extra={"vaultsecret": "shop/db", "detail": detail})

    line = the_only_line(log)
    pairs = (part.split("=", 1) for part in shlex.split(line) if "=" in part)
    fields = json.loads(line) if line.startswith("{") else dict(pairs)
    assert fields["vaultsecret"] == "shop/db"
    assert "reason" not in fields


def test_a_field_does_not_replace_the_message_or_the_level(log: io.StringIO) -> None:
    """Whoever chooses the name of a field, such as a tag of a secret, gives it the name of a part of each line."""
    extra = {"level": "INFO", "time": "2020", "logger": "kernel", f"a\n{FORGED}": "x"}
    logging.getLogger("vaultsync.x").error("tampered", extra=extra)

    line = the_only_line(log)
    assert "ERROR" in line
    assert "tampered" in line


@pytest.mark.parametrize("name", ["httpx", "azure.identity", "kopf.objects", "aiohttp.client", "asyncio", "urllib3"])
def test_a_message_of_a_library_does_not_bring_a_token_into_the_log(log: io.StringIO, name: str) -> None:
    """Who may read the log makes requests fail, since libraries quote requests and responses in their messages."""
    error = ValueError(f"Authorization: Bearer {TOKEN}")

    logging.getLogger(name).warning("Bearer %s of %s", TOKEN, {"token": TOKEN}, exc_info=error)

    assert TOKEN not in the_only_line(log)


def test_a_text_of_megabytes_does_not_fill_the_log(log: io.StringIO) -> None:
    """Whoever chooses a text that is logged makes it so long that nothing else fits, or that the line is no JSON."""
    logging.getLogger("vaultsync.x").warning("not in sync", extra={f"f{n}": FORGED * 20_000 for n in range(20)})

    assert len(the_only_line(log).encode()) <= MAX_BYTES
