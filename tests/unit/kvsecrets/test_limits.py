"""The limits of a call, for threads and for asyncio: its deadline bounds everything, and another thread cancels it."""

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from itertools import count
from types import FrameType
from typing import Any

import httpx
import pytest

from kvsecrets import (
    CallCancelled,
    Cancellation,
    ConnectionFailed,
    ConnectionProblem,
    DeadlineExceeded,
    ResponseInfo,
    RetryPolicy,
    SecretClient,
    SecretNotFound,
)
from kvsecrets._drivers import _Call
from kvsecrets._exchange import MAX_IN_FLIGHT
from kvsecrets._limits import Limits
from kvsecrets._protocol import Request, Response, Send
from kvsecrets._transport import ConnectionPool
from kvsecrets.testing import FakeCredential, FakeVault
from tests.unit.kvsecrets.test_client import ASYNCIO, THREADS, Form, pages_of, result_of
from tests.unit.kvsecrets.test_telemetry import RecordedSpan

LONG = 600.0
"""A limit that no test reaches."""
BROKEN = ConnectionFailed("the connection broke", ConnectionProblem.BROKEN)


class Stuck(FakeCredential):
    """A credential that does not respond until it is released, and calls a function first."""

    def __init__(self, then: Callable[[], object] = bool) -> None:
        super().__init__()
        self.released = threading.Event()
        self._then = then

    def get_token_info(self, *scopes: str, options: Any = None) -> Any:  # noqa: ANN401 - as azure-core has it
        self._then()
        self.released.wait(LONG)
        return super().get_token_info(*scopes, options=options)


@pytest.fixture(params=[THREADS, ASYNCIO], ids=["threads", "asyncio"])
def form(request: pytest.FixtureRequest) -> Form:
    form: Form = request.param
    return form


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.set("db", "x")
    return vault


@pytest.fixture
async def stuck() -> AsyncIterator[Stuck]:  # in the event loop, which waits for its threads when it is closed
    credential = Stuck()
    yield credential
    credential.released.set()


async def test_a_deadline_ends_a_login_that_does_not_respond(form: Form, vault: FakeVault, stuck: Stuck) -> None:
    with pytest.raises(DeadlineExceeded, match=r"^no result within 0\.05 s; "):
        await result_of(form.open(vault, stuck).get_secret("db", timeout=0.05))


async def test_a_login_that_was_left_behind_serves_the_next_call(form: Form, vault: FakeVault, stuck: Stuck) -> None:
    client = form.open(vault, stuck)
    with pytest.raises(TimeoutError):
        await result_of(client.get_secret("db", timeout=0.05))
    stuck.released.set()

    assert (await result_of(client.get_secret("db", timeout=LONG))).value.reveal() == "x"
    assert len(stuck.logins) == 1


def calls_left_behind() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kvsecrets-call"}


async def test_whoever_waits_for_the_login_of_another_call_leaves_no_thread(vault: FakeVault, stuck: Stuck) -> None:
    client = THREADS.open(vault, stuck)
    with pytest.raises(DeadlineExceeded):
        client.get_secret("db", timeout=0.05)
    logs_in = calls_left_behind()

    with pytest.raises(DeadlineExceeded):
        client.get_secret("db", timeout=0.05)
    for thread in calls_left_behind() - logs_in:
        thread.join(10)
        assert not thread.is_alive()


def test_what_nobody_waits_for_is_not_sent_when_its_turn_comes(vault: FakeVault) -> None:
    connections = ConnectionPool(lambda: httpx.Client(transport=vault.transport()), LONG)
    client = THREADS.open(vault)
    client._driver._connections = connections
    client.get_secret("db")

    with ExitStack() as stack:
        for _ in range(MAX_IN_FLIGHT):
            stack.enter_context(connections())
        with pytest.raises(DeadlineExceeded):
            client.set_secret("db", "late", timeout=0.05)
    for thread in calls_left_behind():
        thread.join(10)

    assert vault.value("db") == "x"


def test_what_nobody_waits_for_reaches_neither_hook_nor_span() -> None:
    limits, infos, span = Limits(None, Cancellation(), lambda: 0.0), list[ResponseInfo](), RecordedSpan({})
    limits.is_abandoned = True

    _Call("agent", infos.append, span, limits).record(Send(Request("GET", "https://h/secrets/db")), Response(200), 0)

    assert infos == []
    assert span.attributes == {}


async def test_another_thread_cancels_a_call(form: Form, vault: FakeVault) -> None:
    cancellation = Cancellation()
    credential = Stuck(then=cancellation.cancel)  # which is called in another thread than the one that waits
    try:
        with pytest.raises(CallCancelled, match=r"^the call was cancelled; the last response had status 401$"):
            await result_of(form.open(vault, credential).get_secret("db", timeout=LONG, cancel=cancellation))
    finally:
        credential.released.set()


@contextmanager
def interrupted_at(line: int, handler: Callable[[], object]) -> Iterator[None]:
    """Call a function before that line of Python which this thread runs within, as a signal would."""
    lines, before = count(), sys.gettrace()

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - itself
        if event == "line" and next(lines) == line:
            handler()
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def test_a_signal_handler_may_cancel_at_any_time(vault: FakeVault) -> None:
    with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
        for line in count():
            cancellation = Cancellation()
            with suppress(CallCancelled), interrupted_at(line, cancellation.cancel):
                client.get_secret("db", timeout=LONG, cancel=cancellation)
            if not cancellation.is_cancelled:
                break
    assert line > 50


async def test_a_wait_that_would_outlast_the_deadline_is_not_begun(form: Form, vault: FakeVault) -> None:
    vault.throttle(calls=9, retry_after=20)
    client = form.open(vault)

    with pytest.raises(DeadlineExceeded, match="the last response had status 429"):
        await result_of(client.get_secret("db", timeout=19))
    assert vault.calls["get"] == 1


async def test_the_last_failure_is_the_cause(form: Form, vault: FakeVault) -> None:
    vault.close_door()
    client = form.open(vault, retry=RetryPolicy(base_delay=30))
    client._driver._runtime = client._driver._runtime.__class__("h", 5, lambda: 0.0, lambda _, high: high)

    with pytest.raises(DeadlineExceeded, match="the last attempt: GET") as caught:
        await result_of(client.get_secret("db", timeout=5))
    assert isinstance(caught.value.__cause__, ConnectionFailed)


async def test_within_its_limits_a_call_is_as_without(form: Form, vault: FakeVault) -> None:
    client, cancellation, infos = form.open(vault), Cancellation(), list[ResponseInfo]()

    secret = await result_of(client.get_secret("db", raw_response_hook=infos.append, timeout=LONG, cancel=cancellation))
    with pytest.raises(SecretNotFound):
        await result_of(client.get_secret("other", timeout=LONG, cancel=cancellation))

    assert secret.value.reveal() == "x"
    assert [info.status for info in infos] == [401, 200]
    assert cancellation._callbacks == set()


async def test_a_call_that_was_cancelled_before_sends_nothing(form: Form, vault: FakeVault) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    cancellation.cancel()
    client = form.open(vault)

    with pytest.raises(CallCancelled):
        await result_of(client.set_secret("db", "y", cancel=cancellation))
    with pytest.raises(CallCancelled):
        await pages_of(client.list_properties_of_secrets(cancel=cancellation).by_page())
    assert vault.calls.total() == 0


async def test_the_wait_of_an_operation_is_cancelled(form: Form) -> None:
    vault, cancellation = FakeVault(deletion_delay=timedelta(days=1)), Cancellation()
    vault.set("db", "x")
    vault.delete("db")
    client = form.open(vault)
    # The second response is that of the first poll.
    statuses = list[int]()

    def hook(info: ResponseInfo) -> None:
        statuses.append(info.status)
        if statuses[-1] == 404:
            cancellation.cancel()

    url = f"{vault.url}/deletedsecrets/db"
    operation = client.resume_delete_secret(url, raw_response_hook=hook, cancel=cancellation)
    with pytest.raises(CallCancelled):
        await result_of(operation)
    assert statuses == [401, 404]


@pytest.mark.parametrize(
    ("limits", "error"),
    [({"timeout": 0}, ValueError), ({"timeout": "5"}, TypeError), ({"cancel": threading.Event()}, TypeError)],
    ids=["no time", "text", "not a Cancellation"],
)
async def test_wrong_limits_are_rejected(
    limits: dict[str, object], error: type[Exception], form: Form, vault: FakeVault
) -> None:
    with pytest.raises(error):
        await result_of(form.open(vault).get_secret("db", **limits))
    assert vault.calls.total() == 0


def test_an_attempt_gets_what_is_left_of_the_time() -> None:
    seconds = iter([0.0, 1.0, 4.0, 5.0])
    limits = Limits(5, None, seconds.__next__)

    assert [limits.attempt(3), limits.attempt(3)] == [3, 1]
    with pytest.raises(DeadlineExceeded, match="there was no response"):
        limits.attempt(3)


def test_an_attempt_that_the_deadline_has_cut_is_no_failed_connection() -> None:
    seconds = iter([0.0, 4.9, 5.0])
    limits = Limits(5, None, seconds.__next__)

    limits.note(BROKEN)
    with pytest.raises(DeadlineExceeded) as caught:
        limits.note(BROKEN)
    assert caught.value.__cause__ is BROKEN


def test_a_response_in_time_is_kept_after_the_deadline() -> None:
    seconds = iter([0.0, 6.0])

    Limits(5, None, seconds.__next__).note(Response(200))


def test_what_nobody_waits_for_sends_nothing_more() -> None:
    limits = Limits(None, Cancellation(), lambda: 0.0)
    limits.is_abandoned = True

    with pytest.raises(CallCancelled):
        limits.attempt(5)
    with pytest.raises(CallCancelled):
        limits.check_pause(0)
    with pytest.raises(TimeoutError):
        limits.clock()
