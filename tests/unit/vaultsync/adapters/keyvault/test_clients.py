"""Reads and listings against FakeVault: the number of calls, caching, and errors."""

import asyncio
import logging
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from kvsecrets.testing import FakeVault
from tests.builders import START, an_access, revealed
from tests.clocks import Clock, freeze, settle, skip
from tests.fakes import FakeCredentials
from tests.unit.vaultsync.adapters.keyvault.served import ServedVault, served
from vaultsync.adapters.keyvault.clients import CACHE_TTL, MAX_CALLS, TIMEOUT, VaultClients
from vaultsync.adapters.keyvault.rate_limit import FAILURE_THRESHOLD, Budget
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.state.access import OwnIdentity
from vaultsync.state.listings import ListingPage, SecretMetadata
from vaultsync.state.secrets import InactiveReading, Reading, SecretRef, VaultReading
from vaultsync.state.vaults import Missing
from vaultsync.trust import client_tls

SKEW = timedelta(minutes=7)
"""By how much the vault's clock is ahead of ours."""

VALUE = "MARKED-s3cret"

REF = SecretRef("db-password")


class Network(httpx.AsyncBaseTransport):
    """A transport to several vaults; it can hold back the responses of one."""

    def __init__(self, *vaults: FakeVault) -> None:
        self._ways = {httpx.URL(vault.url).host: vault.async_transport() for vault in vaults}
        self._held: dict[str, asyncio.Event] = {}
        self._broken: tuple[str, ...] = ()
        self._hides_versions = False
        self._unlisted: str | None = None

    def hide_listed(self, version: str) -> None:
        """Leave a version out of lists of versions."""
        self._unlisted = version

    def hide_versions(self) -> None:
        """Return 404 for each version that is read by its id."""
        self._hides_versions = True

    def hold(self, vault: FakeVault) -> None:
        self._held[httpx.URL(vault.url).host] = asyncio.Event()

    def resume(self, vault: FakeVault) -> None:
        self._held.pop(httpx.URL(vault.url).host).set()

    def fail(self, path: str) -> None:
        """Fail all requests whose path has that prefix."""
        self._broken = (path,)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith(self._broken):
            raise httpx.ConnectError("no route", request=request)
        is_version = re.fullmatch(r"/secrets/[^/]+/[0-9a-f]{32}", request.url.path)
        if self._hides_versions and is_version:
            body = {"error": {"code": "SecretNotFound", "message": "A secret was not found in this key vault."}}
            return httpx.Response(404, json=body, request=request)
        answer = await self._ways[request.url.host].handle_async_request(request)
        if self._unlisted is not None and request.url.path.endswith("/versions"):
            page = answer.json()
            kept = [item for item in page["value"] if not item["id"].endswith(self._unlisted)]
            return httpx.Response(200, json={**page, "value": kept}, request=request)
        if request.url.host in self._held:
            await self._held[request.url.host].wait()
        return answer


class Harness:
    """Two vaults whose clock is ahead, their clients, and the counted calls."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.vault = FakeVault("https://shop.vault.azure.net", clock=self.vault_time)
        self.other = FakeVault("https://other.vault.azure.net", clock=self.vault_time)
        self.network = Network(self.vault, self.other)
        self.counted: Counter[tuple[str, str]] = Counter()
        self.http = httpx.AsyncClient(transport=self.network)
        self.credentials = FakeCredentials()
        self.clients = VaultClients(
            self.credentials,
            http=self.http,
            budget=Budget(),
            count_call=self.vault_call,
            now=self.clock,
            clock=self.clock.seconds,
        )
        for vault in (self.vault, self.other):
            vault.set("db-password", VALUE)

    def vault_time(self) -> datetime:
        return self.clock() + SKEW

    def vault_call(self, vault_url: str, operation: str, status: str, seconds: float) -> None:
        self.counted[operation, status] += 1

    async def read(self, ref: SecretRef = REF, *, vault: FakeVault | None = None) -> Reading:
        reading = await self.get(ref, vault=vault)
        assert isinstance(reading, Reading)
        return reading

    async def get(self, ref: SecretRef = REF, *, vault: FakeVault | None = None) -> VaultReading:
        return await self.clients.get(an_access((vault or self.vault).url), ref)

    async def list_all(self) -> list[ListingPage]:
        return [page async for page in self.clients.list_pages(an_access(self.vault.url))]

    async def failure(self, ref: SecretRef = REF) -> SyncError:
        with pytest.raises(SyncError) as refused:
            await self.read(ref)
        return refused.value


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    await freeze()
    harness = Harness()
    yield harness
    await harness.clients.aclose()
    await harness.http.aclose()


async def test_a_reading_is_the_newest_version_dated_by_both_clocks(harness: Harness) -> None:
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    version = harness.vault.set("db-password", "newer", expires_on=expires)

    reading = await harness.read()

    assert reading.value.reveal() == "newer"
    assert (reading.version, reading.expires) == (version, expires)
    assert reading.updated == reading.vault_time == START + SKEW
    assert reading.read_at == START


async def test_a_pinned_version_is_read(harness: Harness) -> None:
    pinned = harness.vault.set("db-password", "older")
    harness.vault.set("db-password", "newer")

    reading = await harness.read(SecretRef("db-password", pinned))

    assert (reading.value.reveal(), reading.version) == ("older", pinned)


async def test_concurrent_reads_share_one_call(harness: Harness) -> None:
    names = ["db-password", "DB-Password"] * 25

    readings = await asyncio.gather(*(harness.read(SecretRef(name)) for name in names))

    assert harness.vault.calls["get"] == 1
    assert {reading.value.reveal() for reading in readings} == {VALUE}


async def test_a_result_is_cached_for_two_seconds_only(harness: Harness) -> None:
    await harness.read()
    await skip(CACHE_TTL - 0.5)
    await harness.read()
    assert harness.vault.calls["get"] == 1

    await skip(0.6)

    assert harness.clients._vaults[an_access(harness.vault.url)].cached == {}
    await harness.read()
    assert harness.vault.calls["get"] == 2


async def test_a_result_after_an_invalidation_is_cached_for_its_own_two_seconds(harness: Harness) -> None:
    await harness.read()
    await skip(CACHE_TTL - 0.5)
    await harness.list_all()
    await harness.read()

    await skip(CACHE_TTL - 0.5)
    await harness.read()

    assert harness.vault.calls["get"] == 2


async def test_versions_and_vaults_are_cached_separately(harness: Harness) -> None:
    version = harness.vault.set("db-password", VALUE)

    await harness.read()
    await harness.read(SecretRef("db-password", version))
    await harness.read(vault=harness.other)

    assert (harness.vault.calls["get"], harness.other.calls["get"]) == (2, 1)


async def poll_by_list(harness: Harness) -> None:
    await harness.list_all()


async def poll_by_head(harness: Harness) -> None:
    await harness.clients.head(an_access(harness.vault.url), "db-password")


POLLS = pytest.mark.parametrize("poll", [poll_by_list, poll_by_head], ids=["a listing", "a reading"])


@POLLS
async def test_a_poll_invalidates_the_cached_result(
    harness: Harness, poll: Callable[[Harness], Awaitable[None]]
) -> None:
    await harness.read()
    harness.vault.set("db-password", "newer")
    await poll(harness)

    readings = await asyncio.gather(*(harness.read() for _ in range(50)))

    assert {reading.value.reveal() for reading in readings} == {"newer"}


async def test_each_page_of_a_listing_invalidates_its_secrets_at_once(harness: Harness) -> None:
    for number in range(30):
        harness.vault.set(f"x-{number}", VALUE)
    await harness.read()
    harness.vault.set("db-password", "newer")

    async with aclosing(harness.clients.list_pages(an_access(harness.vault.url))) as pages:
        assert "db-password" in (await anext(pages)).secrets
        assert (await harness.read()).value.reveal() == "newer"


async def test_after_a_poll_concurrent_reads_share_one_call(harness: Harness) -> None:
    await harness.read()
    await harness.list_all()
    harness.vault.forget_calls()

    await asyncio.gather(*(harness.read() for _ in range(50)))

    assert harness.vault.calls["get"] == 1


async def test_a_read_in_flight_during_a_poll_is_not_joined_after_it(harness: Harness) -> None:
    await harness.read(vault=harness.other)  # it is logged in by now
    await skip(CACHE_TTL)
    harness.network.hold(harness.other)
    early = asyncio.create_task(harness.read(vault=harness.other))
    await settle()
    version = harness.other.set("db-password", "newer")
    harness.clients._vaults[an_access(harness.other.url)].invalidate(["db-password"])

    late = asyncio.create_task(harness.read(vault=harness.other))
    await settle()
    harness.network.resume(harness.other)

    assert (await early).version != version
    assert (await late).version == version


async def test_the_last_page_of_a_listing_invalidates_missing_secrets(harness: Harness) -> None:
    await harness.read()
    harness.vault.delete("db-password")
    await harness.list_all()

    assert (await harness.failure()).reason is Reason.SECRET_SOFT_DELETED


async def test_more_calls_than_a_vault_gets_wait_without_a_timeout(harness: Harness) -> None:
    for number in range(MAX_CALLS + 10):
        harness.vault.set(f"secret-{number}", VALUE)
    await harness.read()  # the first call of a vault is challenged
    harness.vault.forget_calls()
    harness.network.hold(harness.vault)
    reads = [asyncio.create_task(harness.read(SecretRef(f"secret-{number}"))) for number in range(MAX_CALLS + 10)]
    await settle()
    assert harness.vault.calls["get"] == MAX_CALLS

    await skip(TIMEOUT / 2)
    harness.network.resume(harness.vault)
    await skip(TIMEOUT * 0.75)
    await settle()

    assert all(read.result().value.reveal() == VALUE for read in reads)


async def test_a_failure_is_not_cached(harness: Harness) -> None:
    harness.vault.fail(kind="get")

    assert (await harness.failure()).reason is Reason.VAULT_FAILED
    await harness.read()

    assert harness.counted == {("get_secret", "503"): 1, ("get_secret", "200"): 1}


async def test_a_cancelled_reader_does_not_cancel_the_others(harness: Harness) -> None:
    harness.network.hold(harness.vault)
    first, second = (asyncio.create_task(harness.read()) for _ in range(2))
    await settle()

    first.cancel()
    await settle()
    harness.network.resume(harness.vault)

    assert (await second).value.reveal() == VALUE
    assert first.cancelled()


async def test_a_failure_without_a_reader_is_not_reported_by_the_loop(harness: Harness) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    harness.vault.fail(kind="get")
    harness.network.hold(harness.vault)
    reader = asyncio.create_task(harness.read())
    await settle()

    reader.cancel()
    harness.network.resume(harness.vault)
    await settle()

    assert harness.counted == {("get_secret", "503"): 1}
    assert complaints == []


async def test_a_soft_deleted_secret_has_a_reason_of_its_own(harness: Harness) -> None:
    harness.vault.delete("db-password")

    deleted, unknown = await harness.failure(), await harness.failure(SecretRef("unknown"))

    assert isinstance(deleted, SecretNotFound)
    assert (deleted.observed_at, deleted.vault_time) == (START, START + SKEW)
    assert deleted.message == (
        "Secret db-password of vault https://shop.vault.azure.net was deleted; "
        "recover it there until 2026-05-30, or remove the entry."
    )
    assert isinstance(unknown, SecretNotFound)
    assert (unknown.reason, unknown.observed_at) == (Reason.SECRET_NOT_FOUND, START)


@POLLS
async def test_a_missing_secret_is_not_read_again_after_a_poll_that_misses_it(
    harness: Harness, poll: Callable[[Harness], Awaitable[None]]
) -> None:
    harness.vault.delete("db-password")
    first = await harness.failure()
    harness.clock.turn(60)
    await poll(harness)
    harness.vault.forget_calls()

    again = await harness.failure()

    assert harness.vault.calls["get"] == 0
    assert (again.reason, again.message) == (first.reason, first.message)
    with pytest.raises(SecretNotFound) as fresh:
        await harness.clients.get(an_access(harness.vault.url), REF, since=harness.clients.moment().seconds)
    assert (harness.vault.calls["get"], fresh.value.missing_for) == (1, 60.0)

    harness.clock.turn(CACHE_TTL)
    await harness.failure()
    assert harness.vault.calls["get"] == 2


@POLLS
async def test_a_missing_secret_is_read_after_a_poll_that_finds_it(
    harness: Harness, poll: Callable[[Harness], Awaitable[None]]
) -> None:
    harness.vault.delete("db-password")
    await harness.failure()
    harness.vault.recover("db-password")
    await poll(harness)

    assert (await harness.read()).value.reveal() == VALUE


async def test_a_version_that_is_listed_and_not_returned_is_a_failure_of_the_vault(harness: Harness) -> None:
    harness.vault.set("db-password", "newer")
    await harness.read()
    harness.network.hide_versions()

    assert (await harness.failure(SecretRef("db-password", previous=True))).reason is Reason.VAULT_FAILED


async def test_without_permission_for_deleted_secrets_it_is_not_found(harness: Harness) -> None:
    harness.vault.delete("db-password")
    harness.vault.fail(status=403, kind="get_deleted")

    refusal = await harness.failure()

    assert isinstance(refusal, SecretNotFound)
    assert refusal.reason is Reason.SECRET_NOT_FOUND


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (lambda vault: vault.fail(kind="get_deleted"), Reason.VAULT_FAILED),
        (lambda vault: vault.throttle(kind="get_deleted", retry_after=30), Reason.VAULT_THROTTLED),
    ],
    ids=["a vault that fails", "a throttled vault"],
)
async def test_a_failure_of_the_call_for_the_deleted_secret_is_raised(
    harness: Harness, failure: Callable[[FakeVault], None], reason: Reason
) -> None:
    harness.vault.delete("db-password")
    failure(harness.vault)

    refusal = await harness.failure()

    assert not isinstance(refusal, SecretNotFound)
    assert refusal.reason is reason
    harness.clock.turn(30)
    assert (await harness.failure()).reason is Reason.SECRET_SOFT_DELETED


async def test_a_broken_connection_of_the_call_for_the_deleted_secret_is_raised(harness: Harness) -> None:
    harness.vault.delete("db-password")
    harness.network.fail("/deletedsecrets/")

    assert (await harness.failure()).reason is Reason.VAULT_UNREACHABLE


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (lambda vault: vault.disable("db-password"), Reason.SECRET_DISABLED),
        (lambda vault: vault.deny("get"), Reason.ACCESS_DENIED),
        (lambda vault: vault.close_firewall(), Reason.FIREWALL_DENIED),
        (lambda vault: vault.close_door(), Reason.VAULT_UNREACHABLE),
        (lambda vault: vault.throttle(retry_after=30), Reason.VAULT_THROTTLED),
    ],
    ids=["disabled", "denied", "kept out by the firewall", "unreachable", "throttled"],
)
async def test_every_failure_has_its_reason_and_is_not_retried(
    harness: Harness, failure: Callable[[FakeVault], None], reason: Reason
) -> None:
    failure(harness.vault)

    error = await harness.failure()

    assert error.reason is reason
    assert error.__suppress_context__
    assert sum(harness.counted.values()) == 1


async def test_a_call_without_a_response_times_out(harness: Harness) -> None:
    harness.network.hold(harness.vault)
    refused = asyncio.create_task(harness.failure())
    await settle()

    await skip(TIMEOUT)

    assert refused.done()
    assert (await refused).reason is Reason.VAULT_UNREACHABLE


async def test_a_throttled_vault_is_not_called_before_retry_after_and_others_are(harness: Harness) -> None:
    harness.vault.throttle(retry_after=30)
    await harness.failure()

    again = await harness.failure()

    assert (again.reason, again.retry_after) == (Reason.VAULT_THROTTLED, 30.0)
    assert harness.vault.calls["get"] == 1
    await harness.read(vault=harness.other)
    harness.clock.turn(30)
    await harness.read()


async def test_a_slow_vault_does_not_block_others(harness: Harness) -> None:
    harness.network.hold(harness.vault)
    slow = asyncio.create_task(harness.read())
    await settle()

    assert (await harness.read(vault=harness.other)).value.reveal() == VALUE

    harness.network.resume(harness.vault)
    await slow


@pytest.mark.parametrize("denied", [False, True], ids=["the vault lists", "listing is denied"])
async def test_secrets_that_fail_keep_others_from_the_vault_only_if_nothing_shows_that_it_works(
    harness: Harness, denied: bool
) -> None:
    if denied:
        harness.vault.deny("list")
        with pytest.raises(SyncError):
            await harness.list_all()
    else:
        await harness.list_all()

    harness.vault.fail(calls=FAILURE_THRESHOLD, kind="get")
    for number in range(FAILURE_THRESHOLD):
        assert (await harness.failure(SecretRef(f"broken-{number}"))).reason is Reason.VAULT_FAILED

    if denied:
        assert (await harness.failure()).reason is Reason.VAULT_FAILED
        assert harness.vault.calls["get"] == FAILURE_THRESHOLD
    else:
        assert (await harness.read()).value.reveal() == VALUE


async def test_a_listing_has_no_values_and_costs_one_call_per_page(harness: Harness) -> None:
    for number in range(59):
        harness.vault.set(f"Secret-{number:02}", VALUE)

    pages = await harness.list_all()

    assert [len(page.secrets) for page in pages] == [25, 25, 10]
    observed_at = pages[1].secrets["secret-30"].observed_at
    assert pages[1].secrets["secret-30"] == SecretMetadata(
        readable=True, updated=START + SKEW, expires=None, observed_at=observed_at, name="Secret-30"
    )
    assert pages[0].secrets["secret-00"].observed_at < observed_at < harness.clients.moment()
    assert (harness.vault.calls["list"], harness.vault.calls["get"]) == (3, 0)
    assert harness.counted == {("list_secrets", "200"): 3}


async def test_a_listing_has_disabled_secrets_and_continues_after_an_empty_page(harness: Harness) -> None:
    harness.vault.disable("db-password")
    for _ in range(60):
        harness.vault.set("a-much-rotated", VALUE)

    pages = await harness.list_all()

    assert [len(page.secrets) for page in pages] == [1, 0, 1]
    assert not pages[2].secrets["db-password"].readable


async def test_a_denied_listing_has_its_reason(harness: Harness) -> None:
    harness.vault.deny("list")

    with pytest.raises(SyncError) as refused:
        await harness.list_all()

    assert refused.value.reason is Reason.ACCESS_DENIED
    assert harness.counted == {("list_secrets", "403"): 1}


async def test_the_metadata_of_one_secret_has_its_version_and_no_value(harness: Harness) -> None:
    version = harness.vault.set("db-password", VALUE)

    metadata = await harness.clients.head(an_access(harness.vault.url), "db-password")

    assert metadata == SecretMetadata(
        readable=True,
        updated=START + SKEW,
        expires=None,
        observed_at=metadata.observed_at,
        version=version,
        name="db-password",
    )


@pytest.mark.parametrize(
    "change",
    [lambda vault: vault.disable("db-password"), lambda vault: vault.deny("get")],
    ids=["disabled", "denied"],
)
async def test_the_metadata_of_an_unreadable_secret_is_dated_after_the_response(
    harness: Harness, change: Callable[[FakeVault], None]
) -> None:
    change(harness.vault)
    before = harness.clients.moment()

    metadata = await harness.clients.head(an_access(harness.vault.url), "db-password")

    assert metadata == SecretMetadata(False, None, None, metadata.observed_at)
    assert metadata.observed_at > before


async def test_a_deleted_secret_is_missing_since_before_the_call(harness: Harness) -> None:
    harness.vault.delete("db-password")
    harness.network.hold(harness.vault)
    head = asyncio.create_task(harness.clients.head(an_access(harness.vault.url), "db-password"))
    await settle()
    meanwhile = harness.clients.moment()
    harness.network.resume(harness.vault)

    missing = await head

    assert isinstance(missing, Missing)
    assert missing.observed_at < meanwhile


async def test_a_failed_head_has_its_reason(harness: Harness) -> None:
    harness.vault.close_door()

    with pytest.raises(SyncError) as refused:
        await harness.clients.head(an_access(harness.vault.url), "db-password")

    assert refused.value.reason is Reason.VAULT_UNREACHABLE


async def test_a_cancelled_call_is_counted_as_interrupted(harness: Harness) -> None:
    harness.network.hold(harness.vault)
    poll = asyncio.create_task(harness.clients.head(an_access(harness.vault.url), "db-password"))
    await settle()

    poll.cancel()
    await settle()

    assert harness.counted == {("get_secret", "interrupted"): 1}


async def test_no_log_line_holds_a_value_and_a_failure_has_its_request_id(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await harness.read()
    harness.vault.delete("db-password")
    await skip(CACHE_TTL)
    await harness.failure()

    failed = [vars(record) for record in caplog.records if record.getMessage() == "vault call failed"]
    assert failed
    assert all(line["request_id"] and line["client_request_id"] for line in failed)
    assert not any("MARKED" in f"{record.getMessage()} {vars(record)}" for record in caplog.records)


BEFORE = SecretRef("db-password", previous=True)


async def test_a_disabled_version_is_never_the_one_before(harness: Harness) -> None:
    # All within one second, the resolution of the vault's timestamps.
    versions = [harness.vault.set("rotated", value) for value in ("first", "second", "third", "fourth")]
    harness.vault.disable("rotated", versions[2])

    reading = await harness.read(SecretRef("Rotated", previous=True))

    assert reading.version in versions[:2]
    assert reading.unusable == {versions[2]}


async def test_the_version_before_the_newest_is_the_second_newest(harness: Harness) -> None:
    for value in ("second", "third"):
        harness.clock.turn(5)
        harness.vault.set("db-password", value)

    assert (await harness.read(BEFORE)).value.reveal() == "second"


async def test_a_secret_with_one_version_has_none_before(harness: Harness) -> None:
    with pytest.raises(SecretNotFound) as refused:
        await harness.read(BEFORE)

    assert refused.value.reason is Reason.SECRET_NOT_FOUND
    assert "no enabled version before the one that is used" in refused.value.message


async def test_newest_and_previous_version_cost_two_reads_and_a_list_of_versions(harness: Harness) -> None:
    harness.clock.turn(5)
    harness.vault.set("db-password", "newer")

    await asyncio.gather(harness.read(), harness.read(BEFORE), harness.read(BEFORE))

    assert harness.counted == {("get_secret", "200"): 2, ("list_versions", "200"): 1}


async def test_a_poll_invalidates_the_previous_version_too(harness: Harness) -> None:
    harness.clock.turn(5)
    harness.vault.set("db-password", "newer")
    await harness.read(BEFORE)

    await harness.clients.head(an_access(harness.vault.url), "db-password")
    harness.clock.turn(5)
    harness.vault.set("db-password", "newest")

    assert (await harness.read(BEFORE)).value.reveal() == "newer"


IN_AN_HOUR = timedelta(hours=1)


async def test_the_version_that_is_active_is_read_while_the_newest_is_not(harness: Harness) -> None:
    first = await harness.read()
    harness.clock.turn(5)
    await harness.list_all()
    active = harness.vault_time().replace(microsecond=0) + IN_AN_HOUR
    second = harness.vault.set("db-password", "next", not_before=active, expires_on=active + IN_AN_HOUR)
    harness.counted.clear()

    reading = await harness.read()

    assert (revealed(reading), reading.version, reading.expires) == (VALUE, first.version, None)
    assert reading.pending is not None
    assert second.endswith(reading.pending.version)
    assert (reading.pending.not_before, reading.pending.none_active) == (active, False)
    assert reading.newest == (reading.pending.version, harness.vault_time().replace(microsecond=0), active + IN_AN_HOUR)
    assert harness.counted == {("get_secret", "200"): 2, ("list_versions", "200"): 1}


async def test_the_version_before_is_that_before_the_active_one(harness: Harness) -> None:
    for value in ("second", "third"):
        harness.clock.turn(5)
        harness.vault.set("db-password", value, not_before=None if value == "second" else START + 2 * IN_AN_HOUR)

    assert (revealed(await harness.read()), revealed(await harness.read(BEFORE))) == ("second", VALUE)

    harness.clock.turn(2 * IN_AN_HOUR.total_seconds())
    await harness.list_all()
    assert (revealed(await harness.read()), revealed(await harness.read(BEFORE))) == ("third", "second")


@pytest.mark.parametrize("ref", [SecretRef("early"), SecretRef("early", previous=True)], ids=["newest", "previous"])
async def test_a_secret_without_an_active_version_is_inactive(harness: Harness, ref: SecretRef) -> None:
    harness.vault.disable("early", harness.vault.set("early", "disabled"))
    harness.clock.turn(5)
    harness.vault.set("early", "next", not_before=START + 2 * IN_AN_HOUR)

    reading = await harness.get(ref)

    assert isinstance(reading, InactiveReading)
    assert (reading.pending.not_before, reading.pending.none_active) == (START + 2 * IN_AN_HOUR, True)
    assert len(reading.unusable) == 2


async def test_a_pinned_version_that_is_not_active_is_inactive(harness: Harness) -> None:
    pin = harness.vault.set("db-password", "next", not_before=START + 2 * IN_AN_HOUR).rpartition("/")[2]

    reading = await harness.get(SecretRef("db-password", pin))

    assert isinstance(reading, InactiveReading)
    assert harness.counted == {("get_secret", "200"): 1}


async def test_without_permission_to_list_the_active_version_is_not_known(harness: Harness) -> None:
    harness.vault.set("db-password", "next", not_before=START + IN_AN_HOUR)
    harness.vault.deny("list")

    error = await harness.failure()

    assert error.reason is Reason.ACCESS_DENIED
    assert "is not active before 2026-03-01 13:00:00 UTC" in error.message
    assert "needs the permission to list secrets" in error.message
    assert error.retry_after is not None


async def test_a_list_without_the_newest_version_is_a_failure_of_the_vault(harness: Harness) -> None:
    newest = harness.vault.set("db-password", "next", not_before=START + IN_AN_HOUR).rpartition("/")[2]
    harness.network.hide_listed(newest)

    assert (await harness.failure()).reason is Reason.VAULT_FAILED


async def test_an_active_version_that_is_listed_and_not_returned_is_a_failure_of_the_vault(harness: Harness) -> None:
    harness.vault.set("db-password", "next", not_before=START + IN_AN_HOUR)
    harness.network.hide_versions()

    assert (await harness.failure()).reason is Reason.VAULT_FAILED


async def test_a_reading_has_its_tags(harness: Harness) -> None:
    harness.vault.set("file", VALUE, tags={"file-encoding": "base64"})

    assert (await harness.read(SecretRef("file"))).tags == {"file-encoding": "base64"}


async def test_tags_that_are_longer_than_key_vault_allows_are_not_kept(harness: Harness) -> None:
    harness.vault.set("file", VALUE, tags={"file-encoding": "base64", "x": "x" * 15 * 2 * 256})

    assert (await harness.read(SecretRef("file"))).tags == {}


async def test_a_listing_has_tags_and_names_in_their_original_case(harness: Harness) -> None:
    harness.vault.set("Shop-User", VALUE, tags={"tier": "web"})

    (page,) = await harness.list_all()

    metadata = page.secrets["shop-user"]
    assert (metadata.name, metadata.tags, metadata.managed) == ("Shop-User", {"tier": "web"}, False)


async def test_a_listing_says_which_secrets_belong_to_certificates(harness: Harness) -> None:
    harness.vault.set("shop-tls", VALUE, managed=True)

    (page,) = await harness.list_all()

    assert page.secrets["shop-tls"].managed


@pytest.fixture
async def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ServedVault, ...]]:
    async with served(3, tmp_path, monkeypatch) as vaults:
        yield vaults


@pytest.fixture
async def clients(three: tuple[ServedVault, ...]) -> AsyncIterator[VaultClients]:
    clock = Clock()
    clients = VaultClients(
        FakeCredentials(),
        tls=client_tls(),
        budget=Budget(),
        count_call=Ignored().vault_call,
        now=clock,
        clock=clock.seconds,
    )
    yield clients
    await clients.aclose()


class Ignored:
    """Counts nothing."""

    def vault_call(self, vault_url: str, operation: str, status: str, seconds: float) -> None: ...


async def test_all_vaults_share_one_tls_context(
    three: tuple[ServedVault, ...], clients: VaultClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted(**options: Any) -> ssl.SSLContext:  # noqa: ANN401  whatever httpx passes
        created.append(create(**options))
        return created[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)

    for vault in three:
        assert revealed(await clients.get(an_access(vault.url), REF)) == "s3cret"
        assert [page.secrets.keys() async for page in clients.list_pages(an_access(vault.url))] == [{"db-password"}]

    assert not created


async def test_closing_a_vault_closes_its_connections_and_a_later_read_opens_another(
    three: tuple[ServedVault, ...], clients: VaultClients
) -> None:
    closed, kept, _ = three
    for vault in (closed, kept):
        await clients.get(an_access(vault.url), REF)

    await clients.close_vault(an_access(closed.url))

    await closed.until_closed()
    assert (clients.rate_limiter(an_access(closed.url)), kept.open_connections) == (None, 1)
    assert revealed(await clients.get(an_access(closed.url), REF)) == "s3cret"
    assert closed.open_connections == 1


async def test_closing_a_vault_closes_its_credential(harness: Harness) -> None:
    await harness.read()
    await harness.read(vault=harness.other)

    await harness.clients.close_vault(an_access(harness.vault.url))

    assert [(one.identity, one.vault_url, one.is_closed) for one in harness.credentials.opened] == [
        (OwnIdentity(), harness.vault.url, True),
        (OwnIdentity(), harness.other.url, False),
    ]


async def test_closing_a_vault_interrupts_its_reads_with_an_error(
    three: tuple[ServedVault, ...], clients: VaultClients
) -> None:
    vault, *_ = three
    vault.resumed.clear()
    readers = [asyncio.create_task(clients.get(an_access(vault.url), ref)) for ref in (REF, REF, BEFORE)]
    await vault.until_requests(1)

    await clients.close_vault(an_access(vault.url))
    ended = await asyncio.gather(*readers, return_exceptions=True)

    for error in ended:
        assert isinstance(error, SyncError)
        assert error.reason is Reason.VAULT_UNREACHABLE
        assert error.message == f"The client of vault {vault.url} was closed, as no VaultSecret uses the vault."


async def test_a_listing_that_continues_after_its_vault_was_closed_ends_with_an_error(
    three: tuple[ServedVault, ...], clients: VaultClients
) -> None:
    vault, *_ = three
    for number in range(30):  # more than a page
        vault.vault.set(f"s-{number}", "s3cret")
    async with aclosing(clients.list_pages(an_access(vault.url))) as pages:
        await anext(pages)
        await clients.close_vault(an_access(vault.url))

        with pytest.raises(SyncError, match="was closed") as caught:
            await anext(pages)

    assert caught.value.reason is Reason.VAULT_UNREACHABLE


async def test_a_reader_that_is_cancelled_while_its_vault_is_closed_is_cancelled(
    three: tuple[ServedVault, ...], clients: VaultClients
) -> None:
    vault, *_ = three
    vault.resumed.clear()
    reader = asyncio.create_task(clients.get(an_access(vault.url), REF))
    await vault.until_requests(1)

    reader.cancel()
    await clients.close_vault(an_access(vault.url))
    await asyncio.gather(reader, return_exceptions=True)

    assert reader.cancelled()


async def test_closing_a_vault_that_was_never_called_does_nothing(clients: VaultClients) -> None:
    await clients.close_vault(an_access("https://never.vault.azure.net"))
