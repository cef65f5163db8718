"""Formats log lines as text or JSON, a fixed message with fields; logs nothing itself."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from traceback import walk_tb
from typing import Any, TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""The attributes of every record; all others are fields of the caller."""

OURS = ("vaultsync", "kvsecrets")

QUIET = ("aiohttp", "azure", "httpcore", "httpx", "kopf", "kubernetes", "msal", "urllib3")
"""Loggers that log requests with URLs, headers or bodies: never below WARNING, whatever the configured level."""


def set_up_logs(stream: TextIO, *, level: str, as_json: bool) -> None:
    """Log to that stream, for the whole process."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO vaultsync: wrote target reason=Synced vaultsecret=shop/db`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line; line breaks in fields are escaped."""
        fields = "".join(f" {name}={_quoted(value)}" for name, value in sorted(_fields(record).items()))
        return f"{_moment(record)} {record.levelname} {record.name}: {_one_line(record.getMessage())}{fields}"


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        head = {"time": _moment(record), "level": record.levelname, "logger": record.name}
        return json.dumps({**head, "message": record.getMessage(), **_fields(record)}, default=str)


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return the fields of our own loggers; those of other libraries are internal objects.

    Of another library's exception only the type and the location are logged: its text may contain a value.
    """
    if record.name.split(".")[0] not in OURS:
        return _error_of(record)
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    return fields


def _error_of(record: logging.LogRecord) -> Mapping[str, Any]:
    if record.exc_info is None or record.exc_info[0] is None:
        return {}
    kind, _, traceback = record.exc_info
    places = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(traceback)]
    return {"error": kind.__name__, "where": places[-1] if places else ""}


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and all(c.isprintable() and c not in ' "=' for c in text) else json.dumps(text)
