"""The client for threads against FakeVault: every operation, every option, and many threads at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kvsecrets import (
    ConnectionFailed,
    LoginFailed,
    PurgeProtected,
    ResponseInfo,
    RetryPolicy,
    SecretClient,
    SecretNotFound,
    UntrustedChallenge,
)
from kvsecrets.operations import DeleteSecretOperation, RecoverDeletedSecretOperation
from kvsecrets.paging import Paged
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeVault
from tests.unit.kvsecrets.story import STORY, Line, backed_up_and_restored

AT_ONCE = RetryPolicy(attempts=3, base_delay=0)


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def credential() -> FakeCredential:
    return FakeCredential()


@pytest.fixture
def client(vault: FakeVault, credential: FakeCredential) -> Iterator[SecretClient]:
    with SecretClient(vault.url, credential, transport=vault.transport(), retry=AT_ONCE) as client:
        yield client


async def run(outcome: Any) -> Any:  # noqa: ANN401 - whatever a call gives
    if isinstance(outcome, Paged):
        return list(outcome)
    if isinstance(outcome, DeleteSecretOperation | RecoverDeletedSecretOperation):
        return outcome.wait(timeout=10)
    return outcome


@pytest.mark.parametrize("line", STORY.values(), ids=STORY)
async def test_each_operation_does_what_it_says(line: Line, client: SecretClient, vault: FakeVault) -> None:
    line.before(vault)

    outcome = await run(line.call(client))

    assert line.gives(outcome, vault)


async def test_a_backup_brings_all_versions_back(client: SecretClient, vault: FakeVault) -> None:
    before, after = await backed_up_and_restored(client, vault, run)

    assert before == after


def test_an_exact_version_is_read(client: SecretClient) -> None:
    first = client.set_secret("db", "old")
    client.set_secret("db", "new")

    assert client.get_secret("db", first.properties.version).value.reveal() == "old"


def test_properties_as_a_whole_are_written_to_the_version_that_they_name(client: SecretClient) -> None:
    first = client.set_secret("db", "old", content_type="text/plain").properties
    client.set_secret("db", "new", content_type="text/plain")

    client.replace_secret_properties(replace(first, content_type=None, tags={"a": "b"}))

    versions = {item.version: item for item in client.list_properties_of_secret_versions("db")}
    changed = versions.pop(first.version)
    assert (changed.content_type, changed.tags) == (None, {"a": "b"})
    assert [item.content_type for item in versions.values()] == ["text/plain"]


def test_pages_can_be_left_and_taken_up_again(client: SecretClient, vault: FakeVault) -> None:
    for number in range(7):
        vault.set(f"s-{number}", "x")
    pages = client.list_properties_of_secrets().by_page(max_page_size=3)

    first = next(pages)
    rest = list(client.list_properties_of_secrets().by_page(first.continuation_token))

    assert [len(page.items) for page in [first, *rest]] == [3, 3, 1]
    assert first.response.date is not None


def test_purge_protection_is_told_by_an_error_of_its_own(credential: FakeCredential) -> None:
    vault = FakeVault(purge_protection=True)
    vault.set("db", "x")
    vault.delete("db")
    with SecretClient(vault.url, credential, transport=vault.transport()) as client, pytest.raises(PurgeProtected):
        client.purge_deleted_secret("db")


def test_a_deletion_without_soft_delete_is_final_and_done_at_once(credential: FakeCredential) -> None:
    vault = FakeVault(soft_delete=False)
    vault.set("db", "x")
    with SecretClient(vault.url, credential, transport=vault.transport()) as client:
        operation = client.begin_delete_secret("db")

        assert operation.has_completed
        assert operation.wait().recovery_id is None
        assert client.resume_delete_secret(operation.id).wait().name == "db"


def test_a_response_tells_how_the_vault_answered(client: SecretClient) -> None:
    secret = client.set_secret("db", "x")

    assert secret.response.status == 200
    assert secret.response.request_id is not None
    assert secret.response.date is not None


def test_a_hook_sees_the_challenge_and_the_answer_of_its_call(client: SecretClient, vault: FakeVault) -> None:
    vault.set("db", "x")
    seen: list[ResponseInfo] = []

    client.get_secret("db", raw_response_hook=seen.append)
    client.get_secret("db")

    assert [info.status for info in seen] == [401, 200]


def test_a_hook_sees_every_page(client: SecretClient, vault: FakeVault) -> None:
    vault.set("a", "x")
    vault.set("b", "x")
    seen: list[ResponseInfo] = []

    list(client.list_properties_of_secrets(raw_response_hook=seen.append).by_page(max_page_size=1))

    assert [info.status for info in seen][:3] == [401, 200, 200]


def test_a_vault_that_fails_for_a_moment_is_asked_again(client: SecretClient, vault: FakeVault) -> None:
    vault.set("db", "x")
    vault.fail(calls=2)

    assert client.get_secret("db").value.reveal() == "x"


def test_a_door_that_stays_closed_is_a_failed_connection(client: SecretClient, vault: FakeVault) -> None:
    vault.close_door()

    with pytest.raises(ConnectionFailed) as caught:
        client.get_secret("db")
    assert caught.value.unsent


def test_claims_that_the_vault_demands_lead_to_one_new_login(
    client: SecretClient, vault: FakeVault, credential: FakeCredential
) -> None:
    vault.set("db", "x")
    client.get_secret("db")
    vault.demand_claims('{"access_token":{}}')

    assert client.get_secret("db").value.reveal() == "x"
    assert [login.claims for login in credential.logins] == [None, '{"access_token":{}}']
    assert all(login.enable_cae for login in credential.logins)


def test_fifty_threads_share_one_client_and_one_login(
    client: SecretClient, vault: FakeVault, credential: FakeCredential
) -> None:
    names = [f"s-{number}" for number in range(50)]
    for name in names:
        vault.set(name, f"value of {name}")
    ready = threading.Barrier(50)

    def read(name: str) -> list[str]:
        ready.wait(10)
        return [client.get_secret(name).value.reveal() for _ in range(5)]

    with ThreadPoolExecutor(50) as pool:
        values = list(pool.map(read, names))

    assert values == [[f"value of {name}"] * 5 for name in names]
    assert len(credential.logins) == 1


def test_the_api_version_is_passed_on_as_it_is(vault: FakeVault, credential: FakeCredential) -> None:
    vault.set("db", "x")
    with SecretClient(vault.url, credential, transport=vault.transport(), api_version="2025-07-01") as client:
        assert client.get_secret("db").value.reveal() == "x"


def test_a_client_of_the_users_own_is_used_and_stays_open(vault: FakeVault, credential: FakeCredential) -> None:
    vault.set("db", "x")
    with httpx.Client(transport=vault.transport()) as http:
        with SecretClient(vault.url, credential, http_client=http) as client:
            client.get_secret("db")

        assert not http.is_closed


def test_a_foreign_challenge_is_refused_unless_the_check_is_off(credential: FakeCredential) -> None:
    vault = FakeVault("https://localhost:8443", resource="https://vault.azure.net")
    vault.set("db", "x")
    with SecretClient(vault.url, credential, transport=vault.transport()) as client, pytest.raises(UntrustedChallenge):
        client.get_secret("db")
    assert credential.logins == []

    transport = vault.transport()
    with SecretClient(vault.url, credential, transport=transport, verify_challenge_resource=False) as client:
        assert client.get_secret("db").value.reveal() == "x"


def test_a_credential_that_fails_is_a_failed_login(vault: FakeVault) -> None:
    class Broken:
        def get_token(self, *scopes: str, **options: object) -> Any:  # noqa: ANN401 - it returns nothing
            raise OSError("the login host is away")

    with SecretClient(vault.url, Broken(), transport=vault.transport()) as client, pytest.raises(LoginFailed):
        client.get_secret("db")


def test_closing_twice_does_no_harm(vault: FakeVault, credential: FakeCredential) -> None:
    client = SecretClient(vault.url, credential, transport=vault.transport())

    client.close()
    client.close()


def test_a_closed_client_says_so(vault: FakeVault, credential: FakeCredential) -> None:
    client = SecretClient(vault.url, credential)
    client.close()

    with pytest.raises(RuntimeError, match="closed"):
        client.get_secret("db")


def test_a_credential_for_asyncio_is_refused_at_once(vault: FakeVault) -> None:
    with pytest.raises(TypeError, match="AsyncSecretClient"):
        SecretClient(vault.url, AsyncFakeCredential())  # type: ignore[arg-type]  # the wrong kind is the point


@pytest.mark.parametrize("credential", ["a-token", None, FakeCredential], ids=["a text", "nothing", "a class"])
def test_what_is_no_credential_is_refused_at_once(credential: Any) -> None:  # noqa: ANN401 - of a wrong type
    with pytest.raises(TypeError, match="credential"):
        SecretClient("https://shop.vault.azure.net", credential)


def test_a_retry_policy_that_is_none_is_refused_at_once(credential: FakeCredential) -> None:
    with pytest.raises(TypeError, match="RetryPolicy"):
        SecretClient("https://shop.vault.azure.net", credential, retry=3)  # type: ignore[arg-type]  # it is the point


def test_an_operation_is_taken_up_again_by_a_client_that_knows_the_vault_by_another_url(vault: FakeVault) -> None:
    vault.set("db", "x")

    def forwarded(request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="fake.vault.azure.net", port=None)
        return transport.handle_request(request)

    transport = vault.transport()
    alias = "https://tunnel.vault.azure.net:8443"
    with SecretClient(alias, FakeCredential(), transport=httpx.MockTransport(forwarded)) as client:
        note = client.begin_delete_secret("db").id

        assert client.resume_delete_secret(note).wait().name == "db"


def test_a_vault_url_that_is_not_https_is_refused_at_once(credential: FakeCredential) -> None:
    with pytest.raises(ValueError, match="https"):
        SecretClient("http://shop.vault.azure.net", credential)


def test_what_breaks_a_rule_never_reaches_the_vault(client: SecretClient, vault: FakeVault) -> None:
    with pytest.raises(ValueError, match="1 to 127"):
        client.get_secret("a_b")

    assert vault.calls.total() == 0


def test_an_error_tells_what_support_asks_for(client: SecretClient) -> None:
    with pytest.raises(SecretNotFound) as caught:
        client.get_secret("nope")

    error = caught.value
    assert (error.status, error.code) == (404, "SecretNotFound")
    assert str(error.request_id) in str(error)
    assert str(error.client_request_id) in str(error)
