"""Vaults read and listed, against FakeVault: what is called, how often, and what is told when it fails."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from kvsecrets.testing import AsyncFakeCredential, FakeVault
from tests.builders import START
from tests.clocks import Clock, settle, skip
from vaultsync.adapters.keyvault.clients import CACHE_TTL, TIMEOUT, Vaults
from vaultsync.adapters.keyvault.rate_limit import Budget
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.state.secrets import Reading, SecretRef
from vaultsync.state.vaults import ListingPage, Missing, SecretMetadata

SKEW = timedelta(minutes=7)
"""The vault's clock is ahead of ours."""

VALUE = "MARKED-s3cret"

REF = SecretRef("db-password")


class Doors(httpx.AsyncBaseTransport):
    """The way to several vaults; one that is held up answers only when it is let go."""

    def __init__(self, *vaults: FakeVault) -> None:
        self._ways = {httpx.URL(vault.url).host: vault.async_transport() for vault in vaults}
        self._held: dict[str, asyncio.Event] = {}
        self._broken: tuple[str, ...] = ()

    def hold_up(self, vault: FakeVault) -> None:
        self._held[httpx.URL(vault.url).host] = asyncio.Event()

    def let_go(self, vault: FakeVault) -> None:
        self._held.pop(httpx.URL(vault.url).host).set()

    def break_off(self, path: str) -> None:
        """Let no request pass any more whose path begins so."""
        self._broken = (path,)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith(self._broken):
            raise httpx.ConnectError("broken off", request=request)
        answer = await self._ways[request.url.host].handle_async_request(request)
        if request.url.host in self._held:
            await self._held[request.url.host].wait()
        return answer


class Scene:
    """Two vaults whose clock is ahead, a reader of them, and what it counted."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.vault = FakeVault("https://shop.vault.azure.net", clock=self.vault_time)
        self.other = FakeVault("https://other.vault.azure.net", clock=self.vault_time)
        self.doors = Doors(self.vault, self.other)
        self.counted: Counter[tuple[str, str]] = Counter()
        self.http = httpx.AsyncClient(transport=self.doors)
        self.reader = Vaults(
            AsyncFakeCredential(),
            http=self.http,
            budget=Budget(),
            record=self,
            now=self.clock,
            clock=self.clock.seconds,
        )
        for vault in (self.vault, self.other):
            vault.set("db-password", VALUE)

    def vault_time(self) -> datetime:
        return self.clock() + SKEW

    def vault_call(self, vault_url: str, *, operation: str, status: str, seconds: float) -> None:
        self.counted[operation, status] += 1

    async def read(self, ref: SecretRef = REF, *, vault: FakeVault | None = None) -> Reading:
        return await self.reader.read((vault or self.vault).url, ref)

    async def list_all(self) -> list[ListingPage]:
        return [page async for page in self.reader.pages(self.vault.url)]

    async def refusal(self, ref: SecretRef = REF) -> SyncError:
        with pytest.raises(SyncError) as refused:
            await self.read(ref)
        return refused.value


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.reader.aclose()
    await scene.http.aclose()


async def test_a_reading_is_the_newest_version_dated_by_the_vaults_clock(scene: Scene) -> None:
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    version = scene.vault.set("db-password", "newer", expires_on=expires)

    reading = await scene.read()

    assert reading.value.reveal() == "newer"
    assert (reading.version, reading.expires) == (version, expires)
    assert reading.updated == reading.read_at == START + SKEW


async def test_a_pinned_entry_is_read_at_its_version(scene: Scene) -> None:
    pinned = scene.vault.set("db-password", "older")
    scene.vault.set("db-password", "newer")

    reading = await scene.read(SecretRef("db-password", pinned))

    assert (reading.value.reveal(), reading.version) == ("older", pinned)


async def test_many_who_ask_at_once_cost_one_call(scene: Scene) -> None:
    names = ["db-password", "DB-Password"] * 25

    readings = await asyncio.gather(*(scene.read(SecretRef(name)) for name in names))

    assert scene.vault.calls["get"] == 1
    assert {reading.value.reveal() for reading in readings} == {VALUE}


async def test_an_answer_is_remembered_for_two_seconds_and_then_nowhere(scene: Scene) -> None:
    await scene.read()
    await skip(CACHE_TTL - 0.5)
    await scene.read()
    assert scene.vault.calls["get"] == 1

    await skip(0.6)

    assert scene.reader._vaults[scene.vault.url].flights == {}
    await scene.read()
    assert scene.vault.calls["get"] == 2


async def test_an_answer_is_remembered_as_long_as_the_one_that_it_replaced_was(scene: Scene) -> None:
    await scene.read()
    await skip(CACHE_TTL - 0.5)
    await scene.list_all()
    await scene.read()

    await skip(CACHE_TTL - 0.5)
    await scene.read()

    assert scene.vault.calls["get"] == 2


async def test_versions_and_vaults_are_told_apart(scene: Scene) -> None:
    version = scene.vault.set("db-password", VALUE)

    await scene.read()
    await scene.read(SecretRef("db-password", version))
    await scene.read(vault=scene.other)

    assert (scene.vault.calls["get"], scene.other.calls["get"]) == (2, 1)


async def look_at_all(scene: Scene) -> None:
    await scene.list_all()


async def look_at_it(scene: Scene) -> None:
    await scene.reader.sight(scene.vault.url, "db-password")


LOOKS = pytest.mark.parametrize("look", [look_at_all, look_at_it], ids=["a listing", "a reading"])


@LOOKS
async def test_what_was_remembered_before_a_polls_look_is_given_to_nobody(
    scene: Scene, look: Callable[[Scene], Awaitable[None]]
) -> None:
    await scene.read()
    scene.vault.set("db-password", "newer")
    await look(scene)

    readings = await asyncio.gather(*(scene.read() for _ in range(50)))

    assert {reading.value.reveal() for reading in readings} == {"newer"}


async def test_each_page_of_a_listing_counts_as_soon_as_it_is_there(scene: Scene) -> None:
    for number in range(30):
        scene.vault.set(f"x-{number}", VALUE)
    await scene.read()
    scene.vault.set("db-password", "newer")

    async with aclosing(scene.reader.pages(scene.vault.url)) as pages:
        assert "db-password" in (await anext(pages)).secrets
        assert (await scene.read()).value.reveal() == "newer"


async def test_after_a_poll_all_readers_share_one_call_even_within_its_second(scene: Scene) -> None:
    await scene.read()
    await scene.list_all()
    scene.vault.forget_calls()

    await asyncio.gather(*(scene.read() for _ in range(50)))

    assert scene.vault.calls["get"] == 1


async def test_an_answer_that_is_still_under_way_when_a_poll_looks_is_for_those_who_asked_before(scene: Scene) -> None:
    await scene.read(vault=scene.other)  # it is logged in by now
    await skip(CACHE_TTL)
    scene.doors.hold_up(scene.other)
    early = asyncio.create_task(scene.read(vault=scene.other))
    await settle()
    version = scene.other.set("db-password", "newer")
    scene.reader._vaults[scene.other.url].invalidate(["db-password"])

    late = asyncio.create_task(scene.read(vault=scene.other))
    await settle()
    scene.doors.let_go(scene.other)

    assert (await early).version != version
    assert (await late).version == version


async def test_the_last_page_of_a_listing_tells_of_secrets_that_are_gone(scene: Scene) -> None:
    await scene.read()
    scene.vault.delete("db-password")
    await scene.list_all()

    assert (await scene.refusal()).reason is Reason.SECRET_SOFT_DELETED


async def test_a_failure_is_not_remembered(scene: Scene) -> None:
    scene.vault.fail(kind="get")

    assert (await scene.refusal()).reason is Reason.VAULT_FAILED
    await scene.read()

    assert scene.counted == {("get_secret", "503"): 1, ("get_secret", "200"): 1}


async def test_a_cancelled_reader_does_not_cancel_the_others(scene: Scene) -> None:
    scene.doors.hold_up(scene.vault)
    first, second = (asyncio.create_task(scene.read()) for _ in range(2))
    await settle()

    first.cancel()
    await settle()
    scene.doors.let_go(scene.vault)

    assert (await second).value.reveal() == VALUE
    assert first.cancelled()


async def test_a_failure_that_nobody_waits_for_any_more_is_dropped_in_silence(scene: Scene) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    scene.vault.fail(kind="get")
    scene.doors.hold_up(scene.vault)
    reader = asyncio.create_task(scene.read())
    await settle()

    reader.cancel()
    scene.doors.let_go(scene.vault)
    await settle()

    assert scene.counted == {("get_secret", "503"): 1}
    assert complaints == []


async def test_a_secret_that_was_deleted_is_told_from_one_that_never_was(scene: Scene) -> None:
    scene.vault.delete("db-password")

    deleted, unknown = await scene.refusal(), await scene.refusal(SecretRef("nobody"))

    assert isinstance(deleted, SecretNotFound)
    assert deleted.polled_at == START + SKEW
    assert deleted.message == (
        "Secret db-password of vault https://shop.vault.azure.net was deleted; "
        "recover it there until 2026-05-30, or remove the entry."
    )
    assert isinstance(unknown, SecretNotFound)
    assert (unknown.reason, unknown.polled_at) == (Reason.SECRET_NOT_FOUND, START + SKEW)


async def test_where_deleted_secrets_may_not_be_looked_at_it_is_simply_not_there(scene: Scene) -> None:
    scene.vault.delete("db-password")
    scene.vault.fail(status=403, kind="get_deleted")

    refusal = await scene.refusal()

    assert isinstance(refusal, SecretNotFound)
    assert refusal.reason is Reason.SECRET_NOT_FOUND


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda vault: vault.fail(kind="get_deleted"), Reason.VAULT_FAILED),
        (lambda vault: vault.throttle(kind="get_deleted", retry_after=30), Reason.VAULT_THROTTLED),
    ],
    ids=["a vault that fails", "a throttled vault"],
)
async def test_trouble_between_the_two_looks_at_a_deleted_secret_is_told_as_what_it_is(
    scene: Scene, trouble: Callable[[FakeVault], None], reason: Reason
) -> None:
    scene.vault.delete("db-password")
    trouble(scene.vault)

    refusal = await scene.refusal()

    assert not isinstance(refusal, SecretNotFound)
    assert refusal.reason is reason
    scene.clock.turn(30)
    assert (await scene.refusal()).reason is Reason.SECRET_SOFT_DELETED


async def test_a_connection_that_breaks_between_the_two_looks_is_told_as_what_it_is(scene: Scene) -> None:
    scene.vault.delete("db-password")
    scene.doors.break_off("/deletedsecrets/")

    assert (await scene.refusal()).reason is Reason.VAULT_UNREACHABLE


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (lambda vault: vault.disable("db-password"), Reason.SECRET_DISABLED),
        (lambda vault: vault.deny("get"), Reason.ACCESS_DENIED),
        (lambda vault: vault.close_firewall(), Reason.FIREWALL_DENIED),
        (lambda vault: vault.close_door(), Reason.VAULT_UNREACHABLE),
        (lambda vault: vault.throttle(retry_after=30), Reason.VAULT_THROTTLED),
    ],
    ids=["disabled", "denied", "kept out by the firewall", "unreachable", "throttled"],
)
async def test_every_trouble_has_its_reason_and_is_met_once(
    scene: Scene, trouble: Callable[[FakeVault], None], reason: Reason
) -> None:
    trouble(scene.vault)

    error = await scene.refusal()

    assert error.reason is reason
    assert error.__suppress_context__
    assert sum(scene.counted.values()) == 1


async def test_a_vault_that_does_not_answer_is_given_up_on_in_time(scene: Scene) -> None:
    scene.doors.hold_up(scene.vault)
    refused = asyncio.create_task(scene.refusal())
    await settle()

    await skip(TIMEOUT)

    assert refused.done()
    assert (await refused).reason is Reason.VAULT_UNREACHABLE


async def test_a_throttled_vault_is_not_asked_again_before_its_time_and_others_are(scene: Scene) -> None:
    scene.vault.throttle(retry_after=30)
    await scene.refusal()

    again = await scene.refusal()

    assert (again.reason, again.retry_after) == (Reason.VAULT_THROTTLED, 30.0)
    assert scene.vault.calls["get"] == 1
    await scene.read(vault=scene.other)
    scene.clock.turn(30)
    await scene.read()


async def test_a_vault_that_is_slow_holds_up_no_other(scene: Scene) -> None:
    scene.doors.hold_up(scene.vault)
    slow = asyncio.create_task(scene.read())
    await settle()

    assert (await scene.read(vault=scene.other)).value.reveal() == VALUE

    scene.doors.let_go(scene.vault)
    await slow


async def test_a_listing_comes_page_by_page_without_values_and_costs_a_call_a_page(scene: Scene) -> None:
    for number in range(59):
        scene.vault.set(f"Secret-{number:02}", VALUE)

    pages = await scene.list_all()

    assert [len(page.secrets) for page in pages] == [25, 25, 10]
    assert {page.observed_at for page in pages} == {START + SKEW}
    assert pages[1].secrets["secret-30"] == SecretMetadata(
        readable=True, updated=START + SKEW, expires=None, observed_at=START + SKEW, name="Secret-30"
    )
    assert (scene.vault.calls["list"], scene.vault.calls["get"]) == (3, 0)
    assert scene.counted == {("list_secrets", "200"): 3}


async def test_a_listing_shows_what_is_disabled_and_goes_on_after_an_empty_page(scene: Scene) -> None:
    scene.vault.disable("db-password")
    for _ in range(60):
        scene.vault.set("a-much-rotated", VALUE)

    pages = await scene.list_all()

    assert [len(page.secrets) for page in pages] == [1, 0, 1]
    assert not pages[2].secrets["db-password"].readable


async def test_a_listing_that_is_denied_says_so(scene: Scene) -> None:
    scene.vault.deny("list")

    with pytest.raises(SyncError) as refused:
        await scene.list_all()

    assert refused.value.reason is Reason.ACCESS_DENIED
    assert scene.counted == {("list_secrets", "403"): 1}


async def test_a_look_at_one_secret_tells_its_version_and_no_value(scene: Scene) -> None:
    version = scene.vault.set("db-password", VALUE)

    assert await scene.reader.sight(scene.vault.url, "db-password") == SecretMetadata(
        readable=True, updated=START + SKEW, expires=None, observed_at=START + SKEW, version=version, name="db-password"
    )


@pytest.mark.parametrize(
    ("change", "view"),
    [
        (lambda vault: vault.disable("db-password"), SecretMetadata(False, None, None, START + SKEW)),
        (lambda vault: vault.deny("get"), SecretMetadata(False, None, None, START + SKEW)),
        (lambda vault: vault.delete("db-password"), Missing(START + SKEW)),
    ],
    ids=["disabled", "denied", "deleted"],
)
async def test_a_look_at_what_cannot_be_read_is_dated_by_the_vaults_clock_too(
    scene: Scene, change: Callable[[FakeVault], None], view: SecretMetadata | Missing
) -> None:
    change(scene.vault)

    assert await scene.reader.sight(scene.vault.url, "db-password") == view


async def test_a_look_that_fails_says_why(scene: Scene) -> None:
    scene.vault.close_door()

    with pytest.raises(SyncError) as refused:
        await scene.reader.sight(scene.vault.url, "db-password")

    assert refused.value.reason is Reason.VAULT_UNREACHABLE


async def test_a_call_that_is_given_up_is_counted_as_interrupted(scene: Scene) -> None:
    scene.doors.hold_up(scene.vault)
    look = asyncio.create_task(scene.reader.sight(scene.vault.url, "db-password"))
    await settle()

    look.cancel()
    await settle()

    assert scene.counted == {("get_secret", "interrupted"): 1}


async def test_no_log_line_holds_a_value_and_a_failure_has_its_request_id(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await scene.read()
    scene.vault.delete("db-password")
    await skip(CACHE_TTL)
    await scene.refusal()

    failed = [vars(record) for record in caplog.records if record.getMessage() == "vault call failed"]
    assert failed
    assert all(line["request_id"] and line["client_request_id"] for line in failed)
    assert not any("MARKED" in f"{record.getMessage()} {vars(record)}" for record in caplog.records)


BEFORE = SecretRef("db-password", previous=True)


async def test_a_disabled_version_is_never_the_one_before(scene: Scene) -> None:
    # All within one second, which is as fine as the vault tells it.
    versions = [scene.vault.set("rotated", value) for value in ("first", "second", "third", "fourth")]
    scene.vault.disable("rotated", versions[2])

    reading = await scene.read(SecretRef("Rotated", previous=True))

    assert reading.version in versions[:2]


async def test_of_versions_of_different_seconds_the_one_just_before_the_newest_is_taken(scene: Scene) -> None:
    for value in ("second", "third"):
        scene.clock.turn(5)
        scene.vault.set("db-password", value)

    assert (await scene.read(BEFORE)).value.reveal() == "second"


async def test_a_secret_of_one_version_has_none_before(scene: Scene) -> None:
    with pytest.raises(SecretNotFound) as refused:
        await scene.read(BEFORE)

    assert refused.value.reason is Reason.SECRET_NOT_FOUND
    assert "no enabled version before its newest" in refused.value.message


async def test_newest_and_the_version_before_cost_two_reads_and_a_listing_of_versions(scene: Scene) -> None:
    scene.clock.turn(5)
    scene.vault.set("db-password", "newer")

    await asyncio.gather(scene.read(), scene.read(BEFORE), scene.read(BEFORE))

    assert scene.counted == {("get_secret", "200"): 2, ("list_versions", "200"): 1}


async def test_a_poll_ends_the_memory_of_the_version_before_too(scene: Scene) -> None:
    scene.clock.turn(5)
    scene.vault.set("db-password", "newer")
    await scene.read(BEFORE)

    await scene.reader.sight(scene.vault.url, "db-password")
    scene.clock.turn(5)
    scene.vault.set("db-password", "newest")

    assert (await scene.read(BEFORE)).value.reveal() == "newer"


async def test_a_reading_tells_its_content_type(scene: Scene) -> None:
    scene.vault.set("tls", VALUE, content_type="application/x-pkcs12")

    assert (await scene.read(SecretRef("tls"))).content_type == "application/x-pkcs12"


async def test_a_listing_tells_names_as_they_were_given_and_tags(scene: Scene) -> None:
    scene.vault.set("Shop-User", VALUE, tags={"tier": "web"})

    (page,) = await scene.list_all()

    metadata = page.secrets["shop-user"]
    assert (metadata.name, metadata.tags) == ("Shop-User", {"tier": "web"})
