"""Paths that lead nowhere: what is proposed in their place, and nothing of the document that the path does not name."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.render.values.paths import MissingPartError, elsewhere, part_at, steps_of, syntax_hint

DOCUMENT: Final = {
    "db": {"user": "app", "Password": "x"},
    "hosts": [{"name": "a"}],
    "db.url": "dotted",
    "files": {"tls.crt": "dotted", "a/b": "slashed"},
    "App": {"Key": 1},
}
SYNTAX: Final = " A path is names and indexes separated by dots, such as hosts.0, or a JSON pointer, such as /hosts/0."
OTHER_CASE: Final = " There is one whose name has other upper and lower case."


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("hosts[0]", " Write it as /hosts/0."),
        ("hosts[0].name", " Write it as /hosts/0/name."),
        ("$.db.user", " Write it as /db/user."),
        ("$['db'][\"user\"]", " Write it as /db/user."),
        ("db/user", " Write it as /db/user."),
        ("/db.user", " Write it as /db/user."),
        ("db.url", " Write it as /db.url."),
        ("files.tls.crt", " Write it as /files/tls.crt."),
        ("files[tls.crt]", " Write it as /files/tls.crt."),
        ("db.password", OTHER_CASE),
        ("app.KEY", OTHER_CASE),
        ("$.db.PASSWORD", OTHER_CASE),
        ("hosts[1]", SYNTAX),
        ("$.db.port", SYNTAX),
        ("db.port", ""),
        ("", ""),
    ],
    ids=str,
)
def test_the_hint_for_a_path(path: str, hint: str) -> None:
    with pytest.raises(MissingPartError):
        part_at(DOCUMENT, steps_of(path))

    assert (elsewhere(DOCUMENT, path) or syntax_hint(path)) == hint


NAMES = st.text(alphabet="aA.b/~[]$0", max_size=4)
DOCUMENTS = st.recursive(
    st.just(1), lambda parts: st.lists(parts, max_size=3) | st.dictionaries(NAMES, parts, max_size=3), max_leaves=8
)


@given(document=DOCUMENTS, path=st.text(alphabet="aA.b/~[]$'0", min_size=1, max_size=8))
def test_what_is_proposed_exists_and_repeats_only_the_path(document: object, path: str) -> None:
    proposed = elsewhere(document, path).removeprefix(" Write it as ").removesuffix(".")

    if proposed.startswith("/"):
        part_at(document, steps_of(proposed))
        assert set(proposed) <= {*path, "/", "~", "0", "1"}
