"""Log lines, written to a text stream."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logging_state import restored_logging
from vaultsync.adapters.logs import MAX_BYTES, JsonLines, TextLines, set_up_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored_logging():
        yield


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


each_format = pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
MARKER = "MARKED"


@each_format
@pytest.mark.parametrize("name", ["vaultsync.x", "azure.identity", "kopf.objects", "asyncio"])
def test_an_exception_is_logged_by_type_and_place_in_one_line(as_json: bool, name: str) -> None:
    stream = logged(as_json=as_json)

    try:
        int(MARKER)
    except ValueError:
        logging.getLogger(name).exception("oops")

    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "ValueError" in line
    assert "test_logs.py" in line
    assert MARKER not in line


def test_a_message_of_several_lines_becomes_one_and_no_escape_sequence_gets_through() -> None:
    stream = logged(as_json=False)

    logging.getLogger("vaultsync").warning("refused:\n\tby the: \x1b[31mvault")

    assert stream.getvalue().endswith("WARNING vaultsync: refused: by the: [31mvault\n")


@each_format
def test_of_another_library_only_the_level_the_logger_and_the_place_are_logged(as_json: bool) -> None:
    stream = logged(as_json=as_json)

    text = f"{MARKER} %s"
    logging.getLogger("kopf").warning(text, MARKER, extra={"settings": MARKER}, stack_info=True)

    line = stream.getvalue()
    assert MARKER not in line
    assert all(part in line for part in ("WARNING", "kopf", "message of another library", "test_logs.py:"))


def test_a_place_in_a_library_does_not_say_where_it_is_installed() -> None:
    record = logging.LogRecord("kopf", logging.ERROR, "/usr/lib/site-packages/kopf/a.py", 7, "text", None, None)

    assert json.loads(JsonLines().format(record))["at"] == "kopf/a.py:7"


@pytest.mark.parametrize(("level", "expected"), [("debug", 1), ("warning", 1), ("error", 0)])
def test_other_libraries_log_from_warning_on(level: str, expected: int) -> None:
    stream = logged(as_json=False, level=level)

    for name in ("azure.core", "asyncio", "a_library_that_nobody_has_named"):
        stream.truncate(0)
        logging.getLogger(name).debug("PATCH with a body")
        logging.getLogger(name).info("GET a whole URL")
        logging.getLogger(name).warning("refused")
        assert stream.getvalue().count("\n") == expected


def test_our_level_is_the_configured_one() -> None:
    stream = logged(as_json=False, level="debug")

    logging.getLogger("vaultsync.inner").debug("one")
    logging.getLogger("kvsecrets").debug("two")

    assert stream.getvalue().count("\n") == 2


def test_no_field_replaces_a_part_of_the_head() -> None:
    stream = logged(as_json=True)

    logging.getLogger("vaultsync").info("real", extra={"level": "forged", "time": "forged", "logger": "forged"})

    document = json.loads(stream.getvalue())
    assert (document["level"], document["logger"]) == ("INFO", "vaultsync")
    assert document["time"] != "forged"


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    stream = logged(as_json=True)

    logging.getLogger("vaultsync").info("long", extra={"detail": "first" + "x" * 1_000_000 + "last"})

    detail = json.loads(stream.getvalue())["detail"]
    assert detail.startswith("first")
    assert detail.endswith("last")


def test_a_failed_write_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, MARKER)

    set_up_logs(Full(), level="info", as_json=True)

    logging.getLogger("vaultsync").info("lost")

    assert capsys.readouterr().err == ""


class Hostile:
    """An object that raises when it is printed."""

    def __str__(self) -> str:
        raise RuntimeError(MARKER)

    __repr__ = __str__


class HostileError(Exception):
    """An exception that raises when it is printed."""

    __str__ = Hostile.__str__
    __repr__ = Hostile.__str__


def nested() -> list[object]:
    circular: list[object] = []
    circular.append(circular)
    return circular


texts = st.text() | st.sampled_from(["", "a\nb", "%", "%s %d", "%(a)s", "\ud800", "\U0001f511" * 9_000, "x" * 100_000])
objects = (
    texts
    | st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**5_000)
    | st.floats()
    | st.binary()
    | st.builds(Hostile)
    | st.builds(nested)
    | st.builds(HostileError)
    | st.lists(st.integers(), max_size=3)
)
errors = (
    st.builds(ValueError, texts) | st.builds(HostileError) | st.builds(lambda: ExceptionGroup("a", [HostileError()]))
)
records: st.SearchStrategy[dict[object, object]] = st.builds(
    dict,
    name=st.sampled_from(["vaultsync", "kvsecrets", "kopf.objects", "azure.identity", "vaultsyncx", "a\nb"]),
    levelname=st.sampled_from(["INFO", "Level 55"]),
    msg=objects,
    args=st.none() | st.tuples(objects) | st.lists(objects, max_size=3).map(tuple) | objects,
    exc_info=st.none()
    | st.booleans()
    | errors
    | errors.map(lambda error: (type(error), error, None))
    | st.sampled_from([(), (None, None, None), (1,), "text"]),
    exc_text=st.none() | texts,
    stack_info=st.none() | texts,
    created=st.sampled_from([0.0, 1.7e9, 1e300, float("nan"), -1.0]),
    lineno=st.integers(),
    pathname=texts,
)


@each_format
@given(record=records, extra=st.dictionaries(texts | st.integers(), objects, max_size=60))
def test_any_record_is_one_bounded_line(
    as_json: bool, record: dict[object, object], extra: dict[object, object]
) -> None:
    formatter = JsonLines() if as_json else TextLines()

    made = logging.makeLogRecord({})
    vars(made).update(cast("dict[str, object]", extra | record))
    line = formatter.format(made)

    assert "\n" not in line
    assert "\r" not in line
    assert len(line.encode("utf-8", "backslashreplace")) <= MAX_BYTES
    assert MARKER not in line
    if as_json:
        document = json.loads(line, parse_constant=pytest.fail)
        assert {"time", "level", "logger", "message"} <= document.keys()


@each_format
@given(msg=st.sampled_from([f"{MARKER}", "%s", f"{MARKER}\n%s", "%d"]), error=st.booleans())
def test_no_text_of_another_library_is_in_a_line(as_json: bool, msg: str, error: bool) -> None:
    formatter = JsonLines() if as_json else TextLines()
    given_ = ValueError(MARKER) if error else False

    line = formatter.format(
        logging.makeLogRecord(
            {
                "name": "azure.identity",
                "msg": msg,
                "args": (MARKER,),
                "exc_info": given_,
                "exc_text": MARKER,
                "stack_info": MARKER,
                "detail": MARKER,
            }
        )
    )

    assert MARKER not in line
    assert ("ValueError" in line) == error


UNCAUGHT = """
import asyncio, sys, threading, warnings
from vaultsync.adapters.logs import set_up_logs
set_up_logs(sys.stderr, level="debug", as_json=True)
MARKER = sys.argv[1]

class Ends:
    def __del__(self):
        raise ValueError(MARKER)

def fail():
    raise ValueError(MARKER)

async def forgets_a_task():
    async def task():
        fail()
    asyncio.get_running_loop().create_task(task())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0)

warnings.warn(MARKER, UserWarning)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
end = Ends()
del end
asyncio.run(forgets_a_task())
fail()
"""


def test_what_nothing_catches_is_logged_without_its_text() -> None:
    # The marker is no part of the source, which a traceback may show.
    command = [sys.executable, "-c", UNCAUGHT, MARKER]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    documents = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert MARKER not in ended.stderr + ended.stdout
    assert [(document["logger"], document["error"]) for document in documents] == [
        ("vaultsync", "UserWarning"),
        ("vaultsync", "ValueError"),
        ("vaultsync", "ValueError"),
        ("asyncio", "ValueError"),
        ("asyncio", "ValueError"),
        ("vaultsync", "ValueError"),
    ]
