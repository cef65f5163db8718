"""The client for asyncio against FakeVault: every operation, every option, and many tasks at once."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kvsecrets import (
    AsyncSecretClient,
    ConnectionFailed,
    LoginFailed,
    PurgeProtected,
    ResponseInfo,
    RetryPolicy,
    SecretNotFound,
    UntrustedChallenge,
)
from kvsecrets.operations import AsyncDeleteSecretOperation, AsyncRecoverDeletedSecretOperation
from kvsecrets.paging import AsyncPaged
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeVault
from tests.unit.kvsecrets.story import STORY, Line, backed_up_and_restored

AT_ONCE = RetryPolicy(attempts=3, base_delay=0)


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def credential() -> AsyncFakeCredential:
    return AsyncFakeCredential()


@pytest.fixture
async def client(vault: FakeVault, credential: AsyncFakeCredential) -> AsyncIterator[AsyncSecretClient]:
    async with AsyncSecretClient(vault.url, credential, transport=vault.async_transport(), retry=AT_ONCE) as client:
        yield client


async def run(outcome: Any) -> Any:  # noqa: ANN401 - whatever a call gives
    if inspect.isawaitable(outcome):
        outcome = await outcome
    if isinstance(outcome, AsyncPaged):
        return [item async for item in outcome]
    if isinstance(outcome, AsyncDeleteSecretOperation | AsyncRecoverDeletedSecretOperation):
        return await outcome.wait(timeout=10)
    return outcome


@pytest.mark.parametrize("line", STORY.values(), ids=STORY)
async def test_each_operation_does_what_it_says(line: Line, client: AsyncSecretClient, vault: FakeVault) -> None:
    line.before(vault)

    outcome = await run(line.call(client))

    assert line.gives(outcome, vault)


async def test_a_backup_brings_all_versions_back(client: AsyncSecretClient, vault: FakeVault) -> None:
    before, after = await backed_up_and_restored(client, vault, run)

    assert before == after


async def test_an_exact_version_is_read(client: AsyncSecretClient) -> None:
    first = await client.set_secret("db", "old")
    await client.set_secret("db", "new")

    assert (await client.get_secret("db", first.properties.version)).value.reveal() == "old"


async def test_properties_as_a_whole_are_written_to_the_version_that_they_name(client: AsyncSecretClient) -> None:
    first = (await client.set_secret("db", "old", content_type="text/plain")).properties
    await client.set_secret("db", "new", content_type="text/plain")

    await client.replace_secret_properties(replace(first, content_type=None, tags={"a": "b"}))

    versions = {item.version: item async for item in client.list_properties_of_secret_versions("db")}
    changed = versions.pop(first.version)
    assert (changed.content_type, changed.tags) == (None, {"a": "b"})
    assert [item.content_type for item in versions.values()] == ["text/plain"]


async def test_pages_can_be_left_and_taken_up_again(client: AsyncSecretClient, vault: FakeVault) -> None:
    for number in range(7):
        vault.set(f"s-{number}", "x")
    pages = client.list_properties_of_secrets().by_page(max_page_size=3)

    first = await anext(pages)
    rest = [page async for page in client.list_properties_of_secrets().by_page(first.continuation_token)]

    assert [len(page.items) for page in [first, *rest]] == [3, 3, 1]
    assert first.response.date is not None


async def test_purge_protection_is_told_by_an_error_of_its_own(credential: AsyncFakeCredential) -> None:
    vault = FakeVault(purge_protection=True)
    vault.set("db", "x")
    vault.delete("db")
    async with AsyncSecretClient(vault.url, credential, transport=vault.async_transport()) as client:
        with pytest.raises(PurgeProtected):
            await client.purge_deleted_secret("db")


async def test_a_deletion_without_soft_delete_is_final_and_done_at_once(credential: AsyncFakeCredential) -> None:
    vault = FakeVault(soft_delete=False)
    vault.set("db", "x")
    async with AsyncSecretClient(vault.url, credential, transport=vault.async_transport()) as client:
        operation = await client.begin_delete_secret("db")

        assert operation.has_completed
        assert (await operation.wait()).recovery_id is None
        assert (await client.resume_delete_secret(operation.id).wait()).name == "db"


async def test_a_hook_sees_the_challenge_and_the_answer_of_its_call(
    client: AsyncSecretClient, vault: FakeVault
) -> None:
    vault.set("db", "x")
    seen: list[ResponseInfo] = []

    await client.get_secret("db", raw_response_hook=seen.append)
    await client.get_secret("db")

    assert [info.status for info in seen] == [401, 200]


async def test_a_vault_that_fails_for_a_moment_is_asked_again(client: AsyncSecretClient, vault: FakeVault) -> None:
    vault.set("db", "x")
    vault.fail(calls=2)

    assert (await client.get_secret("db")).value.reveal() == "x"


async def test_a_door_that_stays_closed_is_a_failed_connection(client: AsyncSecretClient, vault: FakeVault) -> None:
    vault.close_door()

    with pytest.raises(ConnectionFailed) as caught:
        await client.get_secret("db")
    assert caught.value.unsent


async def test_claims_that_the_vault_demands_lead_to_one_new_login(
    client: AsyncSecretClient, vault: FakeVault, credential: AsyncFakeCredential
) -> None:
    vault.set("db", "x")
    await client.get_secret("db")
    vault.demand_claims('{"access_token":{}}')

    assert (await client.get_secret("db")).value.reveal() == "x"
    assert [login.claims for login in credential.logins] == [None, '{"access_token":{}}']
    assert all(login.enable_cae for login in credential.logins)


async def test_five_hundred_tasks_share_one_client_and_one_login(
    client: AsyncSecretClient, vault: FakeVault, credential: AsyncFakeCredential
) -> None:
    names = [f"s-{number}" for number in range(500)]
    for name in names:
        vault.set(name, f"value of {name}")

    secrets = await asyncio.gather(*[client.get_secret(name) for name in names])

    assert [secret.value.reveal() for secret in secrets] == [f"value of {name}" for name in names]
    assert len(credential.logins) == 1


async def test_the_api_version_is_passed_on_as_it_is(vault: FakeVault, credential: AsyncFakeCredential) -> None:
    vault.set("db", "x")
    transport = vault.async_transport()
    async with AsyncSecretClient(vault.url, credential, transport=transport, api_version="2025-07-01") as client:
        assert (await client.get_secret("db")).value.reveal() == "x"


async def test_a_client_of_the_users_own_is_used_and_stays_open(
    vault: FakeVault, credential: AsyncFakeCredential
) -> None:
    vault.set("db", "x")
    async with httpx.AsyncClient(transport=vault.async_transport()) as http:
        async with AsyncSecretClient(vault.url, credential, http_client=http) as client:
            await client.get_secret("db")

        assert not http.is_closed


async def test_a_foreign_challenge_is_refused_unless_the_check_is_off(credential: AsyncFakeCredential) -> None:
    vault = FakeVault("https://localhost:8443", resource="https://vault.azure.net")
    vault.set("db", "x")
    transport = vault.async_transport()
    async with AsyncSecretClient(vault.url, credential, transport=transport) as client:
        with pytest.raises(UntrustedChallenge):
            await client.get_secret("db")
    assert credential.logins == []

    async with AsyncSecretClient(vault.url, credential, transport=transport, verify_challenge_resource=False) as client:
        assert (await client.get_secret("db")).value.reveal() == "x"


async def test_a_credential_that_fails_is_a_failed_login(vault: FakeVault) -> None:
    class Broken:
        async def get_token(self, *scopes: str, **options: object) -> Any:  # noqa: ANN401 - it returns nothing
            raise OSError("the login host is away")

    async with AsyncSecretClient(vault.url, Broken(), transport=vault.async_transport()) as client:
        with pytest.raises(LoginFailed):
            await client.get_secret("db")


async def test_a_credential_for_threads_is_asked_in_a_thread(vault: FakeVault) -> None:
    vault.set("db", "x")
    credential = FakeCredential()
    async with AsyncSecretClient(vault.url, credential, transport=vault.async_transport()) as client:
        assert (await client.get_secret("db")).value.reveal() == "x"

    assert len(credential.logins) == 1


async def test_closing_twice_does_no_harm(vault: FakeVault, credential: AsyncFakeCredential) -> None:
    client = AsyncSecretClient(vault.url, credential, transport=vault.async_transport())

    await client.aclose()
    await client.aclose()


async def test_a_closed_client_says_so(vault: FakeVault, credential: AsyncFakeCredential) -> None:
    client = AsyncSecretClient(vault.url, credential)
    await client.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await client.get_secret("db")


@pytest.mark.parametrize("credential", ["a-token", None, AsyncFakeCredential], ids=["a text", "nothing", "a class"])
def test_what_is_no_credential_is_refused_at_once(credential: Any) -> None:  # noqa: ANN401 - of a wrong type
    with pytest.raises(TypeError, match="credential"):
        AsyncSecretClient("https://shop.vault.azure.net", credential)


def test_a_vault_url_that_is_not_https_is_refused_at_once(credential: AsyncFakeCredential) -> None:
    with pytest.raises(ValueError, match="https"):
        AsyncSecretClient("http://shop.vault.azure.net", credential)


async def test_what_breaks_a_rule_never_reaches_the_vault(client: AsyncSecretClient, vault: FakeVault) -> None:
    with pytest.raises(ValueError, match="1 to 127"):
        await client.get_secret("a_b")

    assert vault.calls.total() == 0


async def test_an_error_tells_what_support_asks_for(client: AsyncSecretClient) -> None:
    with pytest.raises(SecretNotFound) as caught:
        await client.get_secret("nope")

    error = caught.value
    assert (error.status, error.code) == (404, "SecretNotFound")
    assert str(error.request_id) in str(error)
    assert str(error.client_request_id) in str(error)
