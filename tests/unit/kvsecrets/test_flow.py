"""Flows are generators that ask for effects; nothing in them runs until somebody steps them."""

import pytest

from kvsecrets._flow import Done, Flow, Login, Now, Pause, Send, Token, advance, login, now, pause, send
from kvsecrets._wire import Request, Response
from kvsecrets.errors import ConnectionFailed

REQUEST = Request("GET", "https://shop.vault.azure.net/secrets/db")


def conversation() -> Flow[str]:
    try:
        response = yield from send(REQUEST, 10)
    except ConnectionFailed:
        return "no answer"
    token = yield from login(Login("scope"))
    yield from pause(1, 2)
    at = yield from now()
    return f"{response.status} {token.text} {at}"


def test_a_flow_asks_for_one_effect_after_the_other_and_returns_its_result() -> None:
    flow = conversation()

    steps = [advance(flow, answer) for answer in (None, Response(200), Token("t", 1), None, 4.5)]

    assert steps == [Send(REQUEST, 10), Login("scope"), Pause(1, 2), Now(), Done("200 t 4.5")]


def test_a_failure_is_thrown_into_the_flow_which_may_go_on() -> None:
    flow = conversation()
    advance(flow, None)

    assert advance(flow, ConnectionFailed("gone")) == Done("no answer")


def test_a_failure_that_the_flow_does_not_handle_comes_out_of_it() -> None:
    flow = pause(1, 2)
    advance(flow, None)

    with pytest.raises(ConnectionFailed, match="gone"):
        advance(flow, ConnectionFailed("gone"))


def test_an_answer_of_the_wrong_kind_is_a_mistake_of_the_driver() -> None:
    flow = send(REQUEST)
    advance(flow, None)

    with pytest.raises(AssertionError):
        advance(flow, 1.0)


def test_neither_tokens_nor_claims_show_in_an_effect() -> None:
    effect = Login("scope", claims="some-claims", refused=Token("some-token", 1))

    assert "some" not in repr(effect)
