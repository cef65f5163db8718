"""The clients for threads and for asyncio against FakeVault: every operation and option, and concurrent calls."""

import asyncio
import gc
import inspect
import platform
import ssl
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import httpx
import pytest

from kvsecrets import (
    AsyncSecretClient,
    ConnectionFailed,
    LoginFailed,
    PurgeProtected,
    ResponseInfo,
    RetryPolicy,
    SecretClient,
    SecretNotFound,
    UnexpectedAnswer,
    UntrustedChallenge,
    __version__,
    _transport,
)
from kvsecrets.operations import (
    AsyncDeleteSecretOperation,
    AsyncRecoverDeletedSecretOperation,
    DeleteSecretOperation,
    RecoverDeletedSecretOperation,
)
from kvsecrets.paging import AsyncPaged, Paged
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeTransport, FakeVault
from tests.unit.kvsecrets.scenarios import SCENARIOS, Client, Scenario, two_versions

FAST = RetryPolicy(attempts=3, base_delay=0)
Credential = Any
"""A fake credential of either form."""


async def result_of(outcome: Any) -> Any:  # noqa: ANN401 - the result of any call
    """Await, iterate or wait for what a call of either client returns."""
    if inspect.isawaitable(outcome):
        outcome = await outcome
    if isinstance(outcome, Paged):
        return list(outcome)
    if isinstance(outcome, AsyncPaged):
        return [item async for item in outcome]
    if isinstance(outcome, DeleteSecretOperation | RecoverDeletedSecretOperation):
        return outcome.wait(timeout=60)
    if isinstance(outcome, AsyncDeleteSecretOperation | AsyncRecoverDeletedSecretOperation):
        return await outcome.wait(timeout=60)
    return outcome


async def pages_of(pages: Any) -> list[Any]:  # noqa: ANN401 - of either client
    return [page async for page in pages] if hasattr(pages, "__aiter__") else list(pages)


@dataclass(frozen=True)
class Form:
    """One form of the client, for threads or for asyncio, with what it is constructed with."""

    client: Callable[..., Any]
    credential: Callable[[], Any]
    http_client: Callable[..., Any]
    close: str

    def transport(self, vault: FakeVault) -> FakeTransport:
        return vault.async_transport() if self.client is AsyncSecretClient else vault.transport()

    def open(self, vault: FakeVault, credential: object = None, **options: object) -> Client:
        if not options.keys() & {"http_client", "ssl_context"}:
            options = {"transport": self.transport(vault), **options}
        return self.client(vault.url, credential or self.credential(), **options)

    async def aclose(self, client: Client) -> None:
        await result_of(getattr(client, self.close)())


THREADS = Form(SecretClient, FakeCredential, httpx.Client, "close")
ASYNCIO = Form(AsyncSecretClient, AsyncFakeCredential, httpx.AsyncClient, "aclose")


@pytest.fixture(params=[THREADS, ASYNCIO], ids=["threads", "asyncio"])
def form(request: pytest.FixtureRequest) -> Form:
    form: Form = request.param
    return form


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def credential(form: Form) -> Credential:
    return form.credential()


@pytest.fixture
async def client(form: Form, vault: FakeVault, credential: object) -> AsyncIterator[Client]:
    client = form.open(vault, credential, retry=FAST)
    yield client
    await form.aclose(client)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_operations(scenario: Scenario, client: Client, vault: FakeVault) -> None:
    scenario.arrange(vault)

    result = await result_of(scenario.call(client))

    assert scenario.check(result, vault)


async def test_a_backup_restores_all_versions(client: Client, vault: FakeVault) -> None:
    two_versions(vault)
    before = await result_of(client.list_properties_of_secret_versions("db"))
    backup = await result_of(client.backup_secret("db"))
    await result_of(client.begin_delete_secret("db"))
    await result_of(client.purge_deleted_secret("db"))

    await result_of(client.restore_secret_backup(backup))

    assert await result_of(client.list_properties_of_secret_versions("db")) == before


async def test_an_exact_version_is_read(client: Client) -> None:
    first = await result_of(client.set_secret("db", "old"))
    await result_of(client.set_secret("db", "new"))

    assert (await result_of(client.get_secret("db", first.properties.version))).value.reveal() == "old"


async def test_properties_are_replaced_in_the_version_of_their_id(client: Client) -> None:
    first = (await result_of(client.set_secret("db", "old", content_type="text/plain"))).properties
    await result_of(client.set_secret("db", "new", content_type="text/plain"))

    await result_of(client.replace_secret_properties(replace(first, content_type=None, tags={"a": "b"})))

    versions = {item.version: item for item in await result_of(client.list_properties_of_secret_versions("db"))}
    changed = versions.pop(first.version)
    assert (changed.content_type, changed.tags) == (None, {"a": "b"})
    assert [item.content_type for item in versions.values()] == ["text/plain"]


async def test_a_list_is_resumed_by_a_continuation_token(client: Client, vault: FakeVault) -> None:
    for number in range(7):
        vault.set(f"s-{number}", "x")

    first, *_ = await pages_of(client.list_properties_of_secrets().by_page(max_page_size=3))
    rest = await pages_of(client.list_properties_of_secrets().by_page(first.continuation_token))

    assert [len(page.items) for page in [first, *rest]] == [3, 3, 1]
    assert first.response.date is not None


async def test_purge_protection_has_its_own_error(form: Form) -> None:
    vault = FakeVault(purge_protection=True)
    vault.set("db", "x")
    vault.delete("db")

    with pytest.raises(PurgeProtected):
        await result_of(form.open(vault).purge_deleted_secret("db"))


async def test_a_deletion_without_soft_delete_is_final_and_completed_at_once(form: Form) -> None:
    vault = FakeVault(soft_delete=False)
    vault.set("db", "x")
    client = form.open(vault)

    started = client.begin_delete_secret("db")
    operation = await started if inspect.isawaitable(started) else started

    assert operation.has_completed
    assert (await result_of(operation)).recovery_id is None
    assert (await result_of(client.resume_delete_secret(operation.id))).name == "db"


async def test_a_secret_has_the_info_of_its_response(client: Client) -> None:
    secret = await result_of(client.set_secret("db", "x"))

    assert secret.response.status == 200
    assert secret.response.request_id is not None
    assert secret.response.date is not None


async def test_a_hook_gets_the_challenge_and_the_response_of_its_call(client: Client, vault: FakeVault) -> None:
    vault.set("db", "x")
    infos: list[ResponseInfo] = []

    await result_of(client.get_secret("db", raw_response_hook=infos.append))
    await result_of(client.get_secret("db"))

    assert [info.status for info in infos] == [401, 200]


async def test_a_hook_gets_every_page(client: Client, vault: FakeVault) -> None:
    vault.set("a", "x")
    vault.set("b", "x")
    infos: list[ResponseInfo] = []

    await pages_of(client.list_properties_of_secrets(raw_response_hook=infos.append).by_page(max_page_size=1))

    assert [info.status for info in infos][:3] == [401, 200, 200]


async def test_transient_failures_are_retried(client: Client, vault: FakeVault) -> None:
    vault.set("db", "x")
    vault.fail(calls=2)

    assert (await result_of(client.get_secret("db"))).value.reveal() == "x"


async def test_an_unreachable_vault_is_a_failed_connection(client: Client, vault: FakeVault) -> None:
    vault.close_door()

    with pytest.raises(ConnectionFailed) as caught:
        await result_of(client.get_secret("db"))
    assert caught.value.unsent


async def test_required_claims_cause_one_login(client: Client, vault: FakeVault, credential: Credential) -> None:
    vault.set("db", "x")
    await result_of(client.get_secret("db"))
    vault.demand_claims('{"access_token":{}}')

    assert (await result_of(client.get_secret("db"))).value.reveal() == "x"
    assert [login.claims for login in credential.logins] == [None, '{"access_token":{}}']
    assert all(login.enable_cae for login in credential.logins)


def test_fifty_threads_share_a_client_and_a_login(vault: FakeVault) -> None:
    credential = FakeCredential()
    names = [f"s-{number}" for number in range(50)]
    for name in names:
        vault.set(name, f"value of {name}")
    ready = threading.Barrier(50)

    def read(name: str) -> list[str]:
        ready.wait(60)
        return [shared.get_secret(name).value.reveal() for _ in range(5)]

    with (
        SecretClient(vault.url, credential, transport=vault.transport(), retry=FAST) as shared,
        ThreadPoolExecutor(50) as pool,
    ):
        values = list(pool.map(read, names))

    assert values == [[f"value of {name}"] * 5 for name in names]
    assert len(credential.logins) == 1


async def test_five_hundred_tasks_share_a_client_and_a_login(vault: FakeVault) -> None:
    credential = AsyncFakeCredential()
    names = [f"s-{number}" for number in range(500)]
    for name in names:
        vault.set(name, f"value of {name}")

    async with AsyncSecretClient(vault.url, credential, transport=vault.async_transport(), retry=FAST) as client:
        secrets = await asyncio.gather(*[client.get_secret(name) for name in names])

    assert [secret.value.reveal() for secret in secrets] == [f"value of {name}" for name in names]
    assert len(credential.logins) == 1


async def test_the_api_version_is_passed_on(form: Form, vault: FakeVault) -> None:
    vault.set("db", "x")

    secret = await result_of(form.open(vault, api_version="2025-07-01").get_secret("db"))

    assert secret.value.reveal() == "x"


async def test_a_given_http_client_is_used_and_not_closed(form: Form, vault: FakeVault) -> None:
    vault.set("db", "x")
    http = form.http_client(transport=form.transport(vault))
    client = form.open(vault, http_client=http)
    await result_of(client.get_secret("db"))

    await form.aclose(client)

    assert not http.is_closed
    await form.aclose(http) if form is ASYNCIO else http.close()


async def test_clients_share_a_given_tls_context(form: Form, vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = ssl.create_default_context()
    monkeypatch.setattr(httpx, "create_ssl_context", None)

    clients = [form.open(vault, ssl_context=shared) for _ in range(2)]

    for client in clients:
        await form.aclose(client)


async def test_clients_without_a_tls_context_share_one_for_each_choice_of_authorities(
    form: Form, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = []

    def create() -> ssl.SSLContext:
        created.append(weakref.ref(context := ssl.create_default_context()))
        return context

    def own(**environment: str) -> Client:
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return form.client(vault.url, form.credential())

    monkeypatch.setattr(httpx, "create_ssl_context", create)
    monkeypatch.setattr(_transport, "_shared_contexts", WeakValueDictionary())

    clients = [own(), own(), own(SSL_CERT_FILE="ca.pem"), own(SSL_CERT_DIR="authorities"), own()]

    assert len(created) == 3
    for client in clients:
        await form.aclose(client)
    del client, clients
    gc.collect()
    assert [context() for context in created] == [None] * 3


async def test_the_user_agent_names_application_library_python_and_system(form: Form, vault: FakeVault) -> None:
    vault.set("db", "x")
    agents = []

    def respond(request: httpx.Request) -> httpx.Response:
        agents.append(request.headers["user-agent"])
        return form.transport(vault).handle_request(request)

    for application in (None, "shop/1.2"):
        client = form.client(
            vault.url, form.credential(), transport=httpx.MockTransport(respond), application_id=application
        )
        await result_of(client.get_secret("db"))

    own = f"kvsecrets/{__version__} Python/{platform.python_version()} ({sys.platform})"
    assert agents == [own, own, f"shop/1.2 {own}", f"shop/1.2 {own}"]


@pytest.mark.parametrize("name", ["", "a" * 25, "shop 1", "shop\r\nauthorization: x", "größe"])
def test_an_application_id_that_the_vendor_refuses_is_rejected(form: Form, vault: FakeVault, name: str) -> None:
    with pytest.raises(ValueError, match=r"^application_id .*: must be 1 to 24 characters"):
        form.open(vault, application_id=name)


def test_without_a_running_loop_of_asyncio_an_error_says_what_to_use(vault: FakeVault) -> None:
    """As under trio: whatever runs the coroutine, it is not asyncio."""
    call = ASYNCIO.open(vault).get_secret("db")

    with pytest.raises(RuntimeError, match=r"under trio, use SecretClient in threads"):
        call.send(None)


@pytest.mark.filterwarnings("error")
def test_without_a_running_loop_of_asyncio_a_client_can_be_closed(vault: FakeVault) -> None:
    """Else the error of `async with` would hide that of the call."""
    with pytest.raises(StopIteration):
        AsyncSecretClient(vault.url, AsyncFakeCredential()).aclose().send(None)


def test_a_tls_context_together_with_a_client_or_transport_is_rejected(form: Form, vault: FakeVault) -> None:
    shared = ssl.create_default_context()

    with pytest.raises(ValueError, match=r"^transport and ssl_context: pass only one of them"):
        form.open(vault, ssl_context=shared, transport=form.transport(vault))
    with pytest.raises(ValueError, match=r"^http_client and ssl_context: pass only one of them"):
        form.open(vault, ssl_context=shared, http_client=form.http_client())


def test_a_tls_context_of_another_type_is_rejected(form: Form, vault: FakeVault) -> None:
    with pytest.raises(TypeError, match=r"^ssl_context: must be of type SSLContext, not str$"):
        form.open(vault, ssl_context="ca.pem")


async def test_a_foreign_challenge_is_rejected_unless_the_check_is_disabled(form: Form, credential: Credential) -> None:
    vault = FakeVault("https://localhost:8443", resource="https://vault.azure.net")
    vault.set("db", "x")

    with pytest.raises(UntrustedChallenge):
        await result_of(form.open(vault, credential).get_secret("db"))
    assert credential.logins == []

    unchecked = form.open(vault, credential, verify_challenge_resource=False)
    assert (await result_of(unchecked.get_secret("db"))).value.reveal() == "x"


class BrokenCredential:
    def get_token(self, *scopes: str, **options: object) -> None:
        raise OSError("the login host is unreachable")


class BrokenAsyncCredential:
    async def get_token(self, *scopes: str, **options: object) -> None:
        raise OSError("the login host is unreachable")


@pytest.mark.parametrize(
    ("form", "credential"),
    [(THREADS, BrokenCredential()), (ASYNCIO, BrokenCredential()), (ASYNCIO, BrokenAsyncCredential())],
    ids=["threads", "asyncio with a synchronous credential", "asyncio"],
)
async def test_an_error_of_the_credential_is_a_failed_login(form: Form, credential: object, vault: FakeVault) -> None:
    with pytest.raises(LoginFailed):
        await result_of(form.open(vault, credential).get_secret("db"))


async def test_the_client_for_asyncio_calls_a_synchronous_credential_in_a_thread(vault: FakeVault) -> None:
    class Credential(FakeCredential):
        def get_token_info(self, *scopes: str, options: Any = None) -> Any:  # noqa: ANN401 - as azure-core has it
            threads.append(threading.current_thread())
            return super().get_token_info(*scopes, options=options)

    threads: list[threading.Thread] = []
    vault.set("db", "x")

    async with AsyncSecretClient(vault.url, Credential(), transport=vault.async_transport()) as client:
        assert (await client.get_secret("db")).value.reveal() == "x"

    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_closing_twice_does_nothing(form: Form, vault: FakeVault) -> None:
    client = form.open(vault)

    await form.aclose(client)
    await form.aclose(client)


async def test_a_closed_client_raises(form: Form, vault: FakeVault) -> None:
    client = form.client(vault.url, form.credential())
    await form.aclose(client)

    with pytest.raises(RuntimeError, match="closed"):
        await result_of(client.get_secret("db"))


def test_the_client_for_threads_rejects_a_credential_for_asyncio(vault: FakeVault) -> None:
    with pytest.raises(TypeError, match="AsyncSecretClient"):
        SecretClient(vault.url, AsyncFakeCredential())  # type: ignore[arg-type]  # the wrong kind is the point


@pytest.mark.parametrize("credential", ["a-token", None, FakeCredential], ids=["str", "None", "class"])
def test_an_object_that_is_not_a_credential_is_rejected(form: Form, credential: object) -> None:
    with pytest.raises(TypeError, match="credential"):
        form.client("https://shop.vault.azure.net", credential)


def test_a_retry_policy_of_a_wrong_type_is_rejected(form: Form, vault: FakeVault) -> None:
    with pytest.raises(TypeError, match="RetryPolicy"):
        form.open(vault, retry=3)


def test_a_vault_url_without_https_is_rejected(form: Form) -> None:
    with pytest.raises(ValueError, match="https"):
        form.client("http://shop.vault.azure.net", form.credential())


async def test_an_operation_is_resumed_by_a_client_with_another_url_of_the_vault(vault: FakeVault) -> None:
    vault.set("db", "x")

    def forward(request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="fake.vault.azure.net", port=None)
        return transport.handle_request(request)

    transport = vault.transport()
    forwarded = httpx.MockTransport(forward)
    alias = "https://tunnel.example:8443"
    with SecretClient(alias, FakeCredential(), transport=forwarded, verify_challenge_resource=False) as client:
        operation_id = client.begin_delete_secret("db").id

        assert client.resume_delete_secret(operation_id).wait().name == "db"


async def test_a_response_about_another_secret_is_not_passed_on(form: Form, vault: FakeVault) -> None:
    vault.set("db", "x")
    vault.set("other", "y")

    def mix_up(request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(path="/secrets/other")
        return transport.handle_request(request)

    transport = vault.transport()
    client = form.client(vault.url, form.credential(), transport=httpx.MockTransport(mix_up))

    with pytest.raises(UnexpectedAnswer, match="another secret"):
        await result_of(client.get_secret("db"))
    await form.aclose(client)


@pytest.mark.parametrize("given", ["http_client", "transport"])
async def test_a_closed_client_refuses_calls_over_whichever_connections(
    form: Form, vault: FakeVault, given: str
) -> None:
    vault.set("db", "x")
    transport = form.transport(vault)
    credential = form.credential()
    option = {given: transport if given == "transport" else form.http_client(transport=transport)}
    client = form.client(vault.url, credential, **option)
    pages = client.list_properties_of_secrets()
    await form.aclose(client)

    with pytest.raises(RuntimeError, match="this client is closed"):
        await result_of(client.get_secret("db"))
    with pytest.raises(RuntimeError, match="this client is closed"):
        await result_of(pages)
    assert (vault.calls.total(), credential.logins) == (0, [])


async def test_an_argument_that_breaks_a_rule_is_not_sent(client: Client, vault: FakeVault) -> None:
    with pytest.raises(ValueError, match="1 to 127"):
        await result_of(client.get_secret("a_b"))

    assert vault.calls.total() == 0


async def test_an_error_shows_its_request_ids(client: Client) -> None:
    with pytest.raises(SecretNotFound) as caught:
        await result_of(client.get_secret("nope"))

    error = caught.value
    assert (error.status, error.code) == (404, "SecretNotFound")
    assert str(error.request_id) in str(error)
    assert str(error.client_request_id) in str(error)
