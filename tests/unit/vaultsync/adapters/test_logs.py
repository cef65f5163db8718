"""Log lines, written to a text stream."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from vaultsync.adapters.logs import QUIET, set_up_logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def logged(*, as_json: bool, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    set_up_logs(stream, level=level, as_json=as_json)
    return stream


def test_a_text_line_has_message_and_fields_in_one_line() -> None:
    stream = logged(as_json=False)

    logging.getLogger("vaultsync.x").warning("not in sync", extra={"vaultsecret": "shop/db", "detail": 'a "b"\nc'})

    line = stream.getvalue()
    assert line.count("\n") == 1
    assert 'WARNING vaultsync.x: not in sync detail="a \\"b\\"\\nc" vaultsecret=shop/db' in line


def test_a_json_line_is_one_object_with_the_same_fields() -> None:
    stream = logged(as_json=True)

    logging.getLogger("vaultsync.x").info("wrote target", extra={"seconds": 0.5})

    document = json.loads(stream.getvalue())
    assert document["message"] == "wrote target"
    assert document["seconds"] == 0.5
    assert document["level"] == "INFO"


@pytest.mark.parametrize("as_json", [False, True])
def test_an_exception_stays_within_its_line(as_json: bool) -> None:
    stream = logged(as_json=as_json)

    try:
        int("broken")
    except ValueError:
        logging.getLogger("vaultsync").exception("oops")

    assert stream.getvalue().count("\n") == 1
    assert "ValueError" in stream.getvalue()


def test_a_message_of_several_lines_becomes_one_and_no_escape_sequence_gets_through() -> None:
    stream = logged(as_json=False)

    logging.getLogger("azure.identity").warning("refused:\n\tEnvironmentCredential: \x1b[31munavailable")

    assert stream.getvalue().endswith("WARNING azure.identity: refused: EnvironmentCredential: [31munavailable\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_another_librarys_exception_is_logged_by_type_and_location_only(as_json: bool) -> None:
    stream = logged(as_json=as_json)

    try:
        int("a password")
    except ValueError:
        logging.getLogger("kopf.objects").exception("broke")

    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "ValueError" in line
    assert "test_logs.py:" in line
    assert "a password" not in line


def test_loggers_that_log_requests_stay_at_warning() -> None:
    stream = logged(as_json=False, level="debug")

    for name in QUIET:
        logging.getLogger(f"{name}.inner").debug("PATCH with a body")
        logging.getLogger(f"{name}.inner").info("GET a whole URL")

    assert stream.getvalue() == ""


def test_fields_of_other_libraries_are_not_printed() -> None:
    stream = logged(as_json=False)

    logging.getLogger("kopf").warning("careful", extra={"settings": object()})

    assert stream.getvalue().endswith("careful\n")
