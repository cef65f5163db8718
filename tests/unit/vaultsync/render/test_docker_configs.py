"""Configurations of image registries: what the kubelet decodes is accepted, and what it does not is an error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK
from tests.unit.vaultsync.render.docker_documents import DECODED, LOGIN, NOT_DECODED
from vaultsync.render.docker_configs import DockerConfigError, normalized_config, normalized_old_config


def error_of(content: bytes) -> str:
    """All that a log could show of the error; empty if there is none."""
    try:
        normalized_config(content)
    except DockerConfigError as error:
        return f"{error!r} {error.__cause__!r}"
    return ""


@pytest.mark.parametrize("text", DECODED.values(), ids=DECODED)
def test_what_the_kubelet_decodes_stays_as_it_is(text: str) -> None:
    assert normalized_config(text.encode()) == text.encode()


def test_bytes_that_are_no_text_do_not_spoil_the_rest() -> None:
    content = json.dumps({"auths": {MARK: {"auth": LOGIN}}}).encode().replace(MARK.encode(), b"\xff")

    assert normalized_config(content) == content


@pytest.mark.parametrize(("text", "message"), NOT_DECODED.values(), ids=NOT_DECODED)
def test_what_the_kubelet_does_not_decode_is_an_error(text: str, message: str) -> None:
    with pytest.raises(DockerConfigError) as raised:
        normalized_config(text.encode())

    assert str(raised.value).startswith(message)


def test_deep_nesting_is_an_error() -> None:
    with pytest.raises(DockerConfigError, match="is JSON that nests deeper than 64 levels"):
        normalized_config(b"[" * 65 + b"]" * 65)


def test_logins_without_their_field_are_an_error() -> None:
    with pytest.raises(DockerConfigError, match="holds logins without the field auths around them"):
        normalized_config(json.dumps({"r.example": {"auth": LOGIN}}).encode())


@pytest.mark.parametrize("document", [{"r.example": {"auth": LOGIN}}, {}, {"r.example": None}, {"auths": {}}])
def test_the_older_layout_is_accepted(document: object) -> None:
    content = json.dumps(document).encode()

    assert normalized_old_config(content) == content


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "is JSON, but no object"),
        ({"r.example": LOGIN}, "has no JSON object for its registry number 1"),
        ({"auths": {"r.example": {"auth": LOGIN}}}, "holds the field auths, which this type does not have"),
    ],
    ids=["a list", "a text for a login", "the newer layout"],
)
def test_the_older_layout_is_checked(document: object, message: str) -> None:
    with pytest.raises(DockerConfigError, match=message):
        normalized_old_config(json.dumps(document).encode())


@given(
    document=st.recursive(
        st.none() | st.booleans() | st.just(MARK) | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["auths", "auth", "username", MARK]), inner),
    )
)
def test_no_error_holds_the_content(document: object) -> None:
    assert MARK not in error_of(json.dumps(document).encode())
