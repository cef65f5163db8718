"""Events are created behind all other work, at a limited rate, and namespaces take turns."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from tests.builders import START
from tests.clocks import Clock, freeze, settle, skip
from tests.fakes import FakeKube
from tests.harness import UNAVAILABLE
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import Forbidden
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.events import (
    ATTEMPTS,
    BURST,
    DRAIN_TIME,
    DRAIN_TIMEOUT,
    MAX_RETRY,
    MAX_WAITING,
    RATE,
    RETRY,
    EventWriter,
)
from vaultsync.errors import NotServed, Reason, SyncError
from vaultsync.status.events import Event


class Kube(FakeKube):
    """An API server that answers when it may, and keeps the times of events."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.times: list[datetime] = []

    async def create_event(self, key: ObjectKey, event: Event, *, event_id: str, uid: str, at: datetime) -> None:
        await self.may_answer.wait()
        self.times.append(at)
        await super().create_event(key, event, event_id=event_id, uid=uid, at=at)
        if self.lost_answers:
            self.lost_answers -= 1
            raise UNAVAILABLE

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events]


@pytest.fixture
async def kube() -> Kube:
    await freeze()
    return Kube()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def writer(kube: Kube, clock: Clock) -> AsyncIterator[EventWriter]:
    """What creates events, and runs."""
    writer = EventWriter(kube, now=clock)
    running = asyncio.create_task(writer.run())
    yield writer
    running.cancel()


def vault_secret_in(namespace: str) -> VaultSecret:
    return FakeKube().put_vault_secret(manifest(spec(), namespace=namespace))


def events(count: int, of: str = "shop") -> list[Event]:
    return [Event("Normal", "Created", f"{of} {number}") for number in range(count)]


def dropped(caplog: pytest.LogCaptureFixture) -> tuple[str, int]:
    """Return the namespace and the number in the only line of the log."""
    [record] = caplog.records
    assert record.getMessage() == "events dropped"
    return record.__dict__["namespace"], record.__dict__["count"]


SHOP = vault_secret_in("shop")
BANK = vault_secret_in("bank")


async def test_events_are_created_at_once_in_their_order(writer: EventWriter, kube: Kube) -> None:
    writer.add(SHOP, events(2))
    await settle()

    assert kube.messages == ["shop 0", "shop 1"]


async def test_an_event_has_the_time_when_it_happened(writer: EventWriter, kube: Kube, clock: Clock) -> None:
    kube.may_answer.clear()
    writer.add(SHOP, events(2))
    await settle()
    clock.turn(60)
    kube.may_answer.set()

    await settle()

    assert kube.times == [START, START]


async def test_many_events_are_created_at_a_limited_rate(writer: EventWriter, kube: Kube) -> None:
    """Those of a first sync must not take the API server's time, and ours, from the Secrets."""
    writer.add(SHOP, events(500))
    for _ in range(20):
        await settle()
    assert len(kube.events) == BURST

    for _ in range(3 * RATE):
        await skip(1 / RATE)

    assert len(kube.events) == BURST + 3 * RATE


async def test_the_events_of_one_namespace_do_not_delay_those_of_another(writer: EventWriter, kube: Kube) -> None:
    writer.add(SHOP, events(500))
    writer.add(BANK, events(2, "bank"))

    await settle()

    assert kube.messages[:4] == ["shop 0", "bank 0", "shop 1", "bank 1"]


async def test_events_that_exceed_what_may_wait_are_dropped_and_counted_in_the_log(
    writer: EventWriter, kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="vaultsync")
    writer.add(SHOP, events(MAX_WAITING + 3))
    writer.add(BANK, events(1, "bank"))

    while len(kube.events) < MAX_WAITING + 1:
        await skip(1 / RATE)

    assert "bank 0" in kube.messages
    assert kube.messages[-1] == f"shop {MAX_WAITING - 1}"
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["namespace"], record.__dict__["count"]) == (
        "events dropped",
        "shop",
        3,
    )


async def test_what_waits_is_created_when_the_operator_stops(kube: Kube, clock: Clock) -> None:
    writer = EventWriter(kube, now=clock)
    writer.add(SHOP, events(500))

    await writer.drain()

    assert len(kube.events) == 500


async def test_what_waits_for_some_namespaces_can_be_created_first_or_dropped(writer: EventWriter, kube: Kube) -> None:
    for number in range(3):
        writer.add(SHOP, events(BURST, f"shop {number}"))
        writer.add(BANK, events(1, f"bank {number}"))

    await writer.drain(lambda namespace: namespace == BANK.key.namespace)
    created = {message for message in kube.messages if message.startswith("bank")}
    before = len(kube.messages)
    writer.drop(lambda _: True)
    await settle()

    assert created == {f"bank {number} 0" for number in range(3)}
    assert len(kube.messages) == before


async def test_an_api_server_that_does_not_answer_does_not_delay_the_stop(
    kube: Kube, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="vaultsync")
    kube.may_answer.clear()
    writer = EventWriter(kube, now=clock)
    writer.add(SHOP, events(500))
    draining = asyncio.create_task(writer.drain())
    await settle()

    await skip(DRAIN_TIMEOUT)

    assert draining.done()
    assert dropped(caplog) == ("shop", 499)  # one may have been created


async def test_a_stop_cuts_off_no_event_that_is_answered(kube: Kube, clock: Clock) -> None:
    kube.may_answer.clear()
    writer = EventWriter(kube, now=clock)
    writer.add(SHOP, events(500))
    draining = asyncio.create_task(writer.drain())
    await settle()

    await skip(DRAIN_TIME)
    assert not draining.done()
    kube.may_answer.set()
    await settle()

    assert draining.done()
    assert len(kube.messages) == 1


async def test_an_event_is_created_in_its_order_once_the_api_server_answers_again(
    writer: EventWriter, kube: Kube
) -> None:
    kube.fail(UNAVAILABLE)
    writer.add(SHOP, events(2))
    await settle()
    await skip(RETRY)
    kube.fail(None)

    await skip(RETRY)
    assert kube.messages == []
    await skip(RETRY)

    assert kube.messages == ["shop 0", "shop 1"]


async def test_an_event_whose_answer_was_lost_is_not_created_twice(writer: EventWriter, kube: Kube) -> None:
    kube.lost_answers = 2
    writer.add(SHOP, events(2))

    for _ in range(4):
        await skip(RETRY)

    assert kube.messages == ["shop 0", "shop 1"]


async def test_an_event_that_is_never_created_is_logged_and_does_not_hold_up_the_others(
    writer: EventWriter, kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    kube.fail(UNAVAILABLE)
    writer.add(SHOP, events(1))
    await settle()
    for attempt in range(ATTEMPTS - 1):
        assert caplog.records == []
        await skip(RETRY * 2**attempt)
    kube.fail(None)
    writer.add(SHOP, events(1, "later"))

    await settle()

    assert [record.getMessage() for record in caplog.records] == ["event not created"]
    assert kube.messages == ["later 0"]


@pytest.mark.parametrize(
    "refusal",
    [
        Forbidden(Reason.CLUSTER_UNAVAILABLE, "may not create events"),
        NotServed(Reason.CLUSTER_UNAVAILABLE, "another replica serves it"),
        SyncError(Reason.TARGET_INVALID, "the quota of its namespace is exceeded"),
    ],
    ids=["no permission", "not served", "a quota"],
)
async def test_an_event_that_is_refused_is_not_attempted_again(
    writer: EventWriter, kube: Kube, refusal: SyncError
) -> None:
    kube.fail(refusal)
    writer.add(SHOP, events(1))
    await settle()
    kube.fail(None)
    writer.add(SHOP, events(1, "later"))

    await settle()

    assert kube.messages == ["later 0"]


async def test_an_api_server_that_asks_for_time_gets_it_within_bounds(writer: EventWriter, kube: Kube) -> None:
    kube.fail(SyncError(Reason.CLUSTER_UNAVAILABLE, "throttled", retry_after=3600.0))
    writer.add(SHOP, events(1))
    await settle()
    kube.fail(None)

    await skip(MAX_RETRY - 1)
    assert kube.messages == []
    await skip(1)

    assert kube.messages == ["shop 0"]


async def test_a_stop_attempts_each_event_once(kube: Kube, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    kube.fail(UNAVAILABLE)
    writer = EventWriter(kube, now=clock)
    writer.add(SHOP, events(2))

    await writer.drain()

    assert [record.getMessage() for record in caplog.records] == ["event not created"] * 2
