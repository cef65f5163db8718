"""The error classes: one tree, with texts that can be logged."""

import pickle
import re

import pytest

from kvsecrets import errors
from kvsecrets.errors import (
    ConnectionFailed,
    ConnectionProblem,
    KeyVaultError,
    ResponseError,
    SecretNotFound,
    Throttled,
    UnexpectedAnswer,
)


def test_every_error_is_a_key_vault_error() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if not name.endswith("Problem")]

    assert all(issubclass(kind, KeyVaultError) for kind in classes)


def test_the_tree_in_the_docstring_is_complete() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))

    assert drawn == set(errors.__all__) - {"KeyVaultError", "CertificateProblem", "ConnectionProblem"}


def test_a_response_error_shows_status_codes_message_and_both_request_ids() -> None:
    error = SecretNotFound(
        404, code="SecretNotFound", message="No such secret.", request_id="theirs", client_request_id="ours"
    )

    assert str(error) == "404 SecretNotFound: No such secret. (request id theirs, client request id ours)"


def test_an_error_does_not_show_the_headers_of_its_response() -> None:
    headers = {"x-new": "hush"}

    for error in (ResponseError(418, headers=headers), UnexpectedAnswer("unexpected", headers=headers)):
        assert error.headers == headers
        assert "hush" not in f"{error} {error!r}"


def test_a_response_error_without_other_fields_shows_its_status() -> None:
    assert str(ResponseError(418)) == "418 (request id -, client request id -)"


def test_inner_codes_are_shown() -> None:
    error = ResponseError(403, code="Forbidden", inner_code="ForbiddenByFirewall")

    assert str(error).startswith("403 Forbidden/ForbiddenByFirewall ")


@pytest.mark.parametrize(
    "error",
    [
        Throttled(429, code="Throttled", message="Slow down.", retry_after=7, headers={"retry-after": "7"}),
        ConnectionFailed("gone", ConnectionProblem.BROKEN),
        UnexpectedAnswer("unexpected", status=302, request_id="theirs"),
    ],
)
def test_errors_can_be_pickled(error: KeyVaultError) -> None:
    loaded = pickle.loads(pickle.dumps(error))  # noqa: S301 - pickled in the same line

    assert type(loaded) is type(error)
    assert (str(loaded), vars(loaded)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("problem", "unsent"),
    [
        (ConnectionProblem.UNRESOLVED, True),
        (ConnectionProblem.UNREACHABLE, True),
        (ConnectionProblem.UNTRUSTED, True),
        (ConnectionProblem.TIMED_OUT, False),
        (ConnectionProblem.RESET, False),
        (ConnectionProblem.BROKEN, False),
    ],
)
def test_unsent_is_whether_the_vault_cannot_have_executed_the_request(
    problem: ConnectionProblem, *, unsent: bool
) -> None:
    assert ConnectionFailed("gone", problem).unsent is unsent


def test_unresolved_is_whether_the_host_name_does_not_exist() -> None:
    unresolved = {problem for problem in ConnectionProblem if ConnectionFailed("gone", problem).unresolved}

    assert unresolved == {ConnectionProblem.UNRESOLVED}
