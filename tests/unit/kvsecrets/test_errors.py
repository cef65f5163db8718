"""The error tree: one root, a class for each thing to do about it, and texts that can be logged."""

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


def test_everything_is_a_key_vault_error() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name != "ConnectionProblem"]

    assert all(issubclass(kind, KeyVaultError) for kind in classes)


def test_the_tree_that_the_module_draws_is_the_tree_that_there_is() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))

    assert drawn == set(errors.__all__) - {"KeyVaultError", "ConnectionProblem"}


def test_a_response_error_tells_status_codes_sentence_and_both_request_ids() -> None:
    error = SecretNotFound(
        404, code="SecretNotFound", message="No such secret.", request_id="theirs", client_request_id="ours"
    )

    assert str(error) == "404 SecretNotFound: No such secret. (request id theirs, client request id ours)"


def test_a_response_error_without_anything_else_still_tells_its_status() -> None:
    assert str(ResponseError(418)) == "418 (request id -, client request id -)"


def test_inner_codes_are_told_too() -> None:
    error = ResponseError(403, code="Forbidden", inner_code="ForbiddenByFirewall")

    assert str(error).startswith("403 Forbidden/ForbiddenByFirewall ")


@pytest.mark.parametrize(
    "error",
    [
        Throttled(429, code="Throttled", message="Slow down.", retry_after=7, request_id="theirs"),
        ConnectionFailed("gone", ConnectionProblem.BROKEN),
        UnexpectedAnswer("odd", status=302, request_id="theirs"),
    ],
)
def test_errors_survive_the_way_between_two_processes(error: KeyVaultError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - we have just written it ourselves

    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("problem", "unsent"),
    [
        (ConnectionProblem.UNRESOLVED, True),
        (ConnectionProblem.UNREACHABLE, True),
        (ConnectionProblem.UNTRUSTED, True),
        (ConnectionProblem.TIMED_OUT, False),
        (ConnectionProblem.BROKEN, False),
    ],
)
def test_a_failed_connection_tells_whether_the_vault_may_have_acted(
    problem: ConnectionProblem, *, unsent: bool
) -> None:
    assert ConnectionFailed("gone", problem).unsent is unsent


def test_only_a_name_that_does_not_exist_is_unresolved() -> None:
    unresolved = {problem for problem in ConnectionProblem if ConnectionFailed("gone", problem).unresolved}

    assert unresolved == {ConnectionProblem.UNRESOLVED}
