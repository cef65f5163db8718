"""Formats log records as one bounded line of text or JSON: a fixed message and fields, and no text of other libraries.

Other libraries put what they received into their messages, exceptions and warnings: bodies, URLs, objects. Of theirs, a
line has the level, the logger, the place in their source, and the type of the exception and where it was raised. What
Python itself would write to standard error becomes a log line too: exceptions that nothing catches, and warnings.
"""

import json
import logging
import sys
import threading
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from types import TracebackType
from typing import TextIO

from vaultsync.errors import error_fields

logger = logging.getLogger("vaultsync")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""The attributes of every record; all others are fields of the caller."""

OURS = ("vaultsync", "kvsecrets")

MAX_BYTES = 16_000
"""Upper bound of a line. Container runtimes split lines at 16 KiB, after which they are no JSON."""

_MAX_FIELDS = 40
_LIMITS = (8_000, 1_000, 50)
"""Upper bounds of the characters of one text, tried in this order until the line fits."""

_BY_LIBRARY = "message of another library"
_UNPRINTABLE = "(it cannot be printed)"
_LIBRARIES = "/site-packages/"


def set_up_logs(stream: TextIO, *, level: str, as_json: bool) -> None:
    """Log to that stream, for the whole process; other libraries at WARNING or above, whatever the level."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    ours = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=max(ours, logging.WARNING), force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(ours)
    # Otherwise a failed write to the stream prints the record and its arguments to standard error.
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable
    warnings.showwarning = _log_warning


class OneLine(logging.Formatter):
    """Formats any record as one line of at most `MAX_BYTES`; raises nothing."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        try:
            return self._fitting(_head(record), _fields(record))
        except Exception as error:  # noqa: BLE001  the objects of a record may raise anything
            head = {"time": _text(lambda: _moment_of(record)), "level": "ERROR", "logger": logger.name}
            return self.line({**head, "message": "a record cannot be logged"}, {"error": type(error).__name__})

    def _fitting(self, head: Mapping[str, object], fields: Mapping[str, object]) -> str:
        for limit in _LIMITS:
            line = self.line(_cut(head, limit), _cut(fields, limit))
            if len(line.encode(errors="replace")) <= MAX_BYTES:
                return line
        return self.line(_cut(head, _LIMITS[-1]), {})

    @abstractmethod
    def line(self, head: Mapping[str, object], fields: Mapping[str, object]) -> str:
        """Write the time, the level, the logger and the message, and the fields."""


class TextLines(OneLine):
    """`2026-01-31T12:00:00Z INFO vaultsync: wrote target reason=Synced vaultsecret=shop/db`."""

    def line(self, head: Mapping[str, object], fields: Mapping[str, object]) -> str:
        """Escape line breaks in fields, and replace those in the message."""
        time, level, name, message = (_one_line(str(part)) for part in head.values())
        pairs = "".join(f" {_one_line(key)}={_quoted(value)}" for key, value in sorted(fields.items()))
        return f"{time} {level} {name}: {message}{pairs}"


class JsonLines(OneLine):
    """One JSON object per line."""

    def line(self, head: Mapping[str, object], fields: Mapping[str, object]) -> str:
        """Write one object; no field replaces a part of the head."""
        return json.dumps({**head, **{name: value for name, value in fields.items() if name not in head}})


def _head(record: logging.LogRecord) -> Mapping[str, object]:
    message = _text(record.getMessage) if _is_ours(record) else _BY_LIBRARY
    return {
        "time": _text(lambda: _moment_of(record)),
        "level": _text(lambda: record.levelname),
        "logger": _text(lambda: record.name),
        "message": message,
    }


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    """Return the fields of our own loggers, the place of another library's call, and the exception of any."""
    fields: dict[str, object]
    if _is_ours(record):
        caller = ((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        fields = {str(name): _plain(value) for name, value in islice(caller, _MAX_FIELDS)}
    else:
        fields = {"at": _text(lambda: f"{record.pathname.rpartition(_LIBRARIES)[2]}:{record.lineno}")}
    return {**fields, **_error_of(record)}


def _error_of(record: logging.LogRecord) -> Mapping[str, str]:
    """Return type and traceback of a record's exception; `exc_info` may be a tuple, an exception, True or False."""
    given: object = record.exc_info
    found = given[1] if isinstance(given, tuple) and len(given) > 1 else given
    return error_fields(found) if isinstance(found, BaseException) else {}


def _is_ours(record: logging.LogRecord) -> bool:
    return str(record.name).partition(".")[0] in OURS


def _plain(value: object) -> object:
    """Return what JSON can carry in bounded length: short numbers as they are, everything else as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= 64:  # noqa: PLR2004  the bits of a machine's number
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    return _text(lambda: str(value))


def _text(read: Callable[[], object]) -> str:
    try:
        return str(read())
    except Exception:  # noqa: BLE001  an object may raise anything when it is printed
        return _UNPRINTABLE


def _cut(parts: Mapping[str, object], limit: int) -> dict[str, object]:
    """Shorten texts to that many characters; beginning and end remain."""
    return {_short(name, limit): _short(part, limit) if isinstance(part, str) else part for name, part in parts.items()}


def _short(text: str, limit: int) -> str:
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}…{text[-half:]}"


def _moment_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and all(c.isprintable() and c not in ' "=' for c in text) else json.dumps(text)


def _log_uncaught(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    if not isinstance(error, KeyboardInterrupt):
        logger.error("uncaught error", extra=error_fields(error))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
        logger.error("uncaught error", extra=error_fields(arguments.exc_value))


def _log_unraisable(arguments: "sys.UnraisableHookArgs") -> None:
    if arguments.exc_value is not None:
        logger.error("uncaught error", extra=error_fields(arguments.exc_value))


def _log_warning(
    message: Warning | str,  # noqa: ARG001  the arguments are those of warnings.showwarning
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001  the same
    line: str | None = None,  # noqa: ARG001  the same
) -> None:
    place = f"{filename.rpartition(_LIBRARIES)[2]}:{lineno}"
    logger.warning("warning of another library", extra={"error": category.__name__, "where": place})
