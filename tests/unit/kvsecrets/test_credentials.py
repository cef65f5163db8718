"""Credentials are asked in the way that they have, and what they return is looked at before it is used."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from kvsecrets._credentials import AnyCredential, check, failed, is_async, question, read
from kvsecrets._flow import Login, Token
from kvsecrets.errors import LoginFailed
from kvsecrets.testing import AsyncFakeCredential, FakeCredential

LOGIN = Login("https://vault.azure.net/.default", "tenant-1", '{"a":1}')


class Older:
    """A credential that has azure-core's older method alone, and tells what it was asked."""

    def get_token(self, *scopes: str, **options: object) -> "Answer":
        return Answer(repr((scopes, options)), 1)


class Newer:
    """A credential that has azure-core's newer method alone."""

    def get_token_info(self, *scopes: str, options: Mapping[str, object] | None = None) -> "Answer":
        return Answer(repr((scopes, options)), 1)


class Answer(NamedTuple):
    token: str
    expires_on: int
    refresh_on: int | None = None


@pytest.mark.parametrize("credential", [Older(), Newer()], ids=["get_token", "get_token_info"])
def test_a_credential_is_told_scope_tenant_claims_and_that_claims_can_be_met(credential: AnyCredential) -> None:
    asked = question(credential, LOGIN)().token

    for word in (LOGIN.scope, "tenant-1", '{"a":1}', "'enable_cae': True"):
        assert word in asked


@pytest.mark.parametrize("credential", [Older(), Newer()], ids=["get_token", "get_token_info"])
def test_a_credential_is_not_told_what_there_is_not(credential: AnyCredential) -> None:
    asked = question(credential, Login("scope"))().token

    assert asked == "(('scope',), {'enable_cae': True})"


@pytest.mark.parametrize(
    ("given", "rule"),
    [("hunter2", "not str"), (None, "not NoneType"), (FakeCredential, "is a class")],
    ids=["a text", "nothing", "a class"],
)
def test_what_is_no_credential_is_refused(given: object, rule: str) -> None:
    with pytest.raises(TypeError, match=rule) as caught:
        check(given)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("credential", [Older(), Newer(), FakeCredential(), AsyncFakeCredential()])
def test_what_has_either_method_is_a_credential(credential: object) -> None:
    check(credential)


def test_credentials_for_asyncio_are_told_from_those_for_threads() -> None:
    assert is_async(AsyncFakeCredential())
    assert not is_async(FakeCredential())
    assert not is_async(Older())


@pytest.mark.parametrize(
    ("answer", "token"),
    [
        (Answer("abc", 5), Token("abc", 5)),
        (Answer("abc", 5, 3), Token("abc", 5, 3)),
    ],
)
def test_a_token_is_read_with_its_times(answer: Answer, token: Token) -> None:
    assert read(answer) == token


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "abc",
        SimpleNamespace(token=None, expires_on=5),
        SimpleNamespace(token="", expires_on=5),
        SimpleNamespace(token="a b\r\nx: y", expires_on=5),
        SimpleNamespace(token="hunt\u00e9r", expires_on=5),
        SimpleNamespace(token="abc", expires_on=None),
        SimpleNamespace(token="abc"),
    ],
    ids=["nothing", "a text", "no token", "an empty token", "a header in it", "not ASCII", "no end", "no field for it"],
)
def test_what_is_no_token_is_a_failed_login_that_does_not_show_it(answer: object) -> None:
    with pytest.raises(LoginFailed) as caught:
        read(answer)

    assert "hunt" not in str(caught.value)


def test_a_credentials_own_error_is_told_in_one_line() -> None:
    error = failed(RuntimeError("AADSTS700016:\r\n application not found" + "x" * 1000))

    assert str(error).startswith("RuntimeError: AADSTS700016: application not found")
    assert len(str(error)) < 600


def test_a_failed_login_is_told_as_it_is() -> None:
    assert str(failed(LoginFailed("no token"))) == "no token"
