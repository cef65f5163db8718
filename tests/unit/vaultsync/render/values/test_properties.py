"""Parts of values: paths and pointers, all fields as keys, renaming; no error holds anything of the value."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, visible_text
from vaultsync.api.fields import is_data_key
from vaultsync.api.v1alpha1 import DataFrom, Format
from vaultsync.errors import Reason, SyncError
from vaultsync.render.key_names import key_namer
from vaultsync.render.values.formats import Documents
from vaultsync.render.values.properties import PropertyNotFound, field_contents, property_content

ORIGIN: Final = "Secret app of vault v"

DOCUMENT: Final = """{
  "db": {"password": "s3cret", "port": 5432, "tls": true, "proxy": null},
  "hosts": [{"name": "a"}, {"name": "b"}],
  "tls.crt": "dotted", "a/b": "slashed", "m~n": "tilde", "": "nameless", "7": "seventh",
  "version": 1.10, "id": 12345678901234567890123.0, "far": 1e999,
  "word": "grüß", "half": "\\ud800"
}"""


def property_of(text: str, path: str, *, origin: str, format_: Format = Format.JSON) -> bytes:
    return property_content(Documents().get(text, format_, origin=origin), path, format_, origin=origin)


_texts = st.text(alphabet=st.characters(), max_size=6)
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | _texts
_documents = st.recursive(
    _scalars, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(_texts, parts, max_size=3), max_leaves=8
)
_steps = st.sampled_from(["0", "1", "-1", "00", "a", "", "~0", "~1", "~2"]) | _texts
_paths = st.builds(lambda slash, steps: slash + ".".join(steps), st.sampled_from(["", "/"]), st.lists(_steps))
_pointers = st.lists(_steps).map(lambda steps: "/" + "/".join(steps))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("db.password", "s3cret"),
        ("/db/password", "s3cret"),
        ("hosts.1.name", "b"),
        ("/hosts/1/name", "b"),
        ("/tls.crt", "dotted"),
        ("/a~1b", "slashed"),
        ("/m~0n", "tilde"),
        ("/", "nameless"),
        ("7", "seventh"),
        ("word", "grüß"),
        ("db.port", "5432"),
        ("db.tls", "true"),
        ("version", "1.10"),
        ("id", "12345678901234567890123.0"),
        ("far", "1e999"),
        ("db", '{"password":"s3cret","port":5432,"tls":true,"proxy":null}'),
        ("/hosts", '[{"name":"a"},{"name":"b"}]'),
    ],
    ids=[
        "a dotted path walks into objects",
        "a pointer walks into objects",
        "a dotted path walks into lists",
        "a pointer walks into lists",
        "a pointer finds a name with a dot",
        "~1 stands for a slash",
        "~0 stands for a tilde",
        "a name may be empty",
        "digits are a name where there is an object",
        "a text is its UTF-8",
        "a number is its digits",
        "a boolean is its JSON",
        "a number keeps its final zero",
        "a long number keeps all its digits",
        "a number that no float holds stays as it is",
        "an object is compact JSON",
        "a list is compact JSON",
    ],
)
def test_a_path_into_json_returns(path: str, content: str) -> None:
    assert property_of(DOCUMENT, path, origin=ORIGIN) == content.encode()


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        (DOCUMENT, "db.user", "has no property db.user."),
        (DOCUMENT, "db.password.length", "has no property db.password.length."),
        (DOCUMENT, "version.0", "has no property version.0."),
        (DOCUMENT, "hosts.2", "has no property hosts.2."),
        (DOCUMENT, "hosts.01", "has no property hosts.01."),
        (DOCUMENT, "hosts.-1", "has no property hosts.-1."),
        (DOCUMENT, "tls.crt", "has no property tls.crt. Write it as /tls.crt."),
        (DOCUMENT, "db.proxy", "has null as property db.proxy."),
        (DOCUMENT, "db.proxy.host", "has no property db.proxy.host."),
        ("null", "/", "has no property /."),
        (DOCUMENT, "half", "contains an unpaired surrogate in property half; set it again in the vault."),
        (
            "s3cret",
            "db",
            "is not valid JSON: line 1, column 1: a value is missing, or a text is not in double quotes.",
        ),
        ('"{\\"db\\": 1}"', "db", "has no property db. It is a string that looks like JSON: it was encoded twice."),
        ("[" * 65 + "]" * 65, "0", "is JSON that nests deeper than 64 levels; flatten it in the vault."),
    ],
    ids=[
        "no such field",
        "a field of a text",
        "an index of a number",
        "an index past the end",
        "an index with a leading zero",
        "an index from the end",
        "a name with a dot in a dotted path",
        "null",
        "a field of null",
        "a field of a value that is null",
        "an unpaired surrogate",
        "text that is not JSON",
        "a document within a string",
        "deep nesting",
    ],
)
def test_a_path_into_json_fails_for(text: str, path: str, problem: str) -> None:
    with pytest.raises(SyncError) as raised:
        property_of(text, path, origin=ORIGIN)

    assert raised.value.reason is Reason.PROPERTY_MISSING
    assert raised.value.message == f"{ORIGIN} {problem}"


@given(document=_documents, path=_paths | _pointers)
def test_any_json_and_path_give_bytes_or_property_missing(document: object, path: str) -> None:
    result = attempt(lambda: property_of(json.dumps(document), path, origin=ORIGIN))

    assert isinstance(result, bytes) or result.reason is Reason.PROPERTY_MISSING


@given(text=st.text(), path=st.text())
def test_any_text_and_path_give_bytes_or_property_missing(text: str, path: str) -> None:
    result = attempt(lambda: property_of(text, path, origin=ORIGIN))

    assert isinstance(result, bytes) or result.reason is Reason.PROPERTY_MISSING


def _places(document: object, pointer: str = "") -> list[tuple[str, object]]:
    """Every part of a document, with its pointer."""
    match document:
        case dict():
            steps = [(name.replace("~", "~0").replace("/", "~1"), part) for name, part in document.items()]
        case list():
            steps = [(str(index), part) for index, part in enumerate(document)]
        case _:
            steps = []
    return [(pointer, document)] + [place for step, part in steps for place in _places(part, f"{pointer}/{step}")]


_wholesome = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=3), parts, max_size=3),
    max_leaves=8,
)


@given(document=_wholesome, data=st.data())
def test_a_pointer_to_any_part_returns_that_part(document: object, data: st.DataObject) -> None:
    places = _places([document], "")[1:]
    pointer, there = data.draw(st.sampled_from(places))

    content = attempt(lambda: property_of(json.dumps([document]), pointer, origin=ORIGIN))

    if isinstance(content, SyncError):
        assert (there, type(content)) == (None, PropertyNotFound)
    else:
        assert (content.decode() if isinstance(there, str) else json.loads(content)) == there


def fields_of(document: str, **naming: Any) -> dict[str, bytes]:  # noqa: ANN401 - fields of any type
    """The fields of an object, with the naming fields of an item of dataFrom."""
    parsed = Documents().get(document, Format.JSON, origin=ORIGIN)
    return field_contents(parsed, Format.JSON, key_namer(DataFrom(object="app", **naming)), origin=ORIGIN)


def test_every_field_of_an_object_becomes_a_key() -> None:
    fields = fields_of('{"user": "app", "port": 5432, "pool": {"max": 9, "min": null}}')

    assert fields == {"user": b"app", "port": b"5432", "pool": b'{"max":9,"min":null}'}


@pytest.mark.parametrize(
    ("text", "path", "content"),
    [
        ("db:\n  hosts: [{port: 1.10}]", "db.hosts.0.port", "1.10"),
        ("db: {on: yes, port: 5432}", "/db", '{"on":"yes","port":5432}'),
        ("db.user: app", "/db.user", "app"),
    ],
)
def test_a_path_into_yaml_is_that_into_json(text: str, path: str, content: str) -> None:
    assert property_of(text, path, origin=ORIGIN, format_=Format.YAML) == content.encode()


def test_a_property_of_env_is_the_name_of_a_variable() -> None:
    assert property_of("DB=x\nDB.user=app", "DB.user", origin=ORIGIN, format_=Format.ENV) == b"app"


@pytest.mark.parametrize(
    ("text", "path", "format_", "problem"),
    [
        ("db:", "db", Format.YAML, "has null as property db."),
        ("", "db", Format.YAML, "has no property db."),
        ("DB=x", "db", Format.YAML, "has no property db. It looks like Env: set format: Env."),
        ("DB=x", "db", Format.ENV, "has no property db. There is one whose name has other upper and lower case."),
    ],
    ids=["null", "an empty document", "another format", "another case"],
)
def test_a_property_of_another_format_is_not_found(text: str, path: str, format_: Format, problem: str) -> None:
    error = attempt(lambda: property_of(text, path, origin=ORIGIN, format_=format_))

    assert isinstance(error, PropertyNotFound)
    assert error.message == f"{ORIGIN} {problem}"


def test_a_field_that_is_null_is_left_out() -> None:
    fields = fields_of('{"user": "app", "password": null, "not a key": null, "empty": ""}')

    assert fields == {"user": b"app", "empty": b""}


@pytest.mark.parametrize(
    ("name", "prefix", "rename", "key"),
    [
        ("user", "DB_", None, "DB_user"),
        ("db_user", "", "db_(?P<key>.+)", "user"),
        ("db_user", "APP_", "db_(?P<key>.+)", "APP_user"),
        ("user", "", "db_(?P<key>.+)", "user"),
        ("my_db_user", "", "db_(?P<key>.+)", "my_db_user"),
        ("user:db", "", "(?P<key>[a-z]+):.*", "user"),
        ("größe", "", r"(?P<key>gr)\pL+", "gr"),
    ],
    ids=[
        "a prefix comes first",
        "the group named key is the new name",
        "the prefix comes before the new name",
        "a field that does not match keeps its name",
        "the whole name must match",
        "a name that is not a valid key may become one",
        "letters are those of all scripts",
    ],
)
def test_a_name_becomes_a_key(name: str, prefix: str, rename: str | None, key: str) -> None:
    assert list(fields_of(json.dumps({name: "x"}), prefix=prefix or None, rename=rename)) == [key]


def test_fields_that_are_left_out_are_not_checked() -> None:
    document = '{"a b": 1, "broken": "\\ud800", "user": "app"}'

    assert fields_of(document, omit=["* *", "broken"]) == {"user": b"app"}


@pytest.mark.parametrize(
    ("document", "rename", "reason", "problem"),
    [
        ("[1]", None, Reason.PROPERTY_MISSING, "is JSON, but not an object with fields"),
        ("7", None, Reason.PROPERTY_MISSING, "is JSON, but not an object with fields"),
        ('"[1]"', None, Reason.PROPERTY_MISSING, "not an object with fields. It is a string that looks like JSON"),
        ("s3cret", None, Reason.PROPERTY_MISSING, "is not valid JSON"),
        (
            '{"ok": "\\ud800"}',
            None,
            Reason.PROPERTY_MISSING,
            "Field 1 of Secret app of vault v contains an unpaired surrogate",
        ),
        ('{"ok": 1, "a b": 2}', None, Reason.TARGET_INVALID, "Field 2 of Secret app of vault v does not become a key"),
        ('{"": 1}', None, Reason.TARGET_INVALID, "does not become a key"),
        ('{"..a": 1}', None, Reason.TARGET_INVALID, "does not become a key"),
        ('{"\\ud800": 1}', "(?P<key>.*)", Reason.TARGET_INVALID, "does not become a key"),
        (json.dumps({"x" * 254: 1}), "(?P<key>x).*", Reason.TARGET_INVALID, "does not become a key"),
        ('{"db": 1}', "db(?P<key>x)?", Reason.TARGET_INVALID, "does not become a key"),
        (
            '{"a1": 1, "a2": 2}',
            "(?P<key>a).",
            Reason.TARGET_INVALID,
            "Fields 1 and 2 of Secret app of vault v become the same key",
        ),
    ],
    ids=[
        "a list has no fields",
        "a number has none",
        "neither has a string",
        "text that is not JSON",
        "an unpaired surrogate",
        "a name with a space",
        "a name that is empty",
        "a name that begins with two dots",
        "a name with an unpaired surrogate",
        "a name that is too long",
        "a new name that is empty",
        "two that are renamed to the same",
    ],
)
def test_the_fields_of_an_object_fail_for(document: str, rename: str | None, reason: Reason, problem: str) -> None:
    with pytest.raises(SyncError) as raised:
        fields_of(document, rename=rename)

    assert raised.value.reason is reason
    assert problem in raised.value.message


def test_a_pattern_with_nested_repetition_takes_linear_time() -> None:
    name = "x" * 250

    assert list(fields_of(json.dumps({name: 1}), rename="(?P<key>(x+x+)+)y")) == [name]


@given(document=st.dictionaries(_texts, _documents, max_size=4), prefix=st.sampled_from(["", "p-"]))
def test_any_object_gives_valid_keys_or_an_error(document: dict[str, object], prefix: str) -> None:
    result = attempt(lambda: fields_of(json.dumps(document), prefix=prefix or None, rename="_(?P<key>.*)"))

    if isinstance(result, SyncError):
        assert result.reason in {Reason.PROPERTY_MISSING, Reason.TARGET_INVALID}
    else:
        assert len(result) == sum(value is not None for value in document.values())
        assert all(map(is_data_key, result))


@pytest.mark.parametrize(
    "document",
    [
        MARK,
        f'{{"{MARK}": "{MARK}"',
        f'{{"{MARK} ": "{MARK}"}}',
        f'{{"a": "{MARK}\\ud800", "b": "{MARK}"}}',
        f'["{MARK}"]',
        f'{{"A": "{MARK}", "{MARK} ": 1}}',
        f'"{MARK}"',
    ],
    ids=["not JSON", "broken JSON", "an invalid key", "an unpaired surrogate", "a list", "other names", "a string"],
)
def test_no_error_holds_anything_of_the_value(document: str) -> None:
    errors = [
        attempt(lambda: property_of(document, "a", origin=ORIGIN)),
        attempt(lambda: fields_of(document)),
    ]

    message = [visible_text(error) for error in errors if isinstance(error, SyncError)]

    assert len(message) == len(errors)
    assert MARK not in "".join(message)
