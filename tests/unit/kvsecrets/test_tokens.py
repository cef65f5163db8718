"""Tokens: credentials are called as azure-core defines, tokens are cached, renewed, and shared by concurrent calls."""

import asyncio
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._protocol import Token, TokenRequest
from kvsecrets._tokens import (
    FALLBACK_SECONDS,
    RENEW_BEFORE_EXPIRY_SECONDS,
    REPLACEMENT_SECONDS,
    AnyCredential,
    AsyncTokenProvider,
    TokenCache,
    TokenProvider,
    check_credential,
    credential_call,
    is_async_credential,
    login_failed,
    parse_token,
)
from kvsecrets.errors import LoginFailed
from kvsecrets.testing import AsyncFakeCredential, FakeCredential

REQUEST = TokenRequest("https://vault.azure.net/.default", "tenant-1", '{"a":1}')


class Result(NamedTuple):
    token: str
    expires_on: float
    refresh_on: float | None = None


class WithGetToken:
    """A credential with `get_token` only, whose token is the repr of its arguments."""

    def get_token(self, *scopes: str, **options: object) -> Result:
        return Result(repr((scopes, options)), 1)


class WithGetTokenInfo:
    """A credential with `get_token_info` only, whose token is the repr of its arguments."""

    def get_token_info(self, *scopes: str, options: Mapping[str, object] | None = None) -> Result:
        return Result(repr((scopes, options)), 1)


@pytest.mark.parametrize("credential", [WithGetToken(), WithGetTokenInfo()], ids=["get_token", "get_token_info"])
def test_a_credential_gets_scope_tenant_claims_and_cae(credential: AnyCredential) -> None:
    arguments = credential_call(credential, REQUEST)().token

    for word in (REQUEST.scope, "tenant-1", '{"a":1}', "'enable_cae': True"):
        assert word in arguments


@pytest.mark.parametrize("credential", [WithGetToken(), WithGetTokenInfo()], ids=["get_token", "get_token_info"])
def test_absent_options_are_not_passed_to_a_credential(credential: AnyCredential) -> None:
    arguments = credential_call(credential, TokenRequest("scope"))().token

    assert arguments == "(('scope',), {'enable_cae': True})"


@pytest.mark.parametrize(
    ("given", "rule"),
    [("hunter2", "not str"), (None, "not NoneType"), (FakeCredential, "is a class")],
    ids=["str", "None", "class"],
)
def test_an_object_without_its_methods_is_not_a_credential(given: object, rule: str) -> None:
    with pytest.raises(TypeError, match=rule) as caught:
        check_credential(given)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("credential", [WithGetToken(), WithGetTokenInfo(), FakeCredential(), AsyncFakeCredential()])
def test_an_object_with_either_method_is_a_credential(credential: object) -> None:
    check_credential(credential)


def test_credentials_for_asyncio_are_recognized() -> None:
    assert is_async_credential(AsyncFakeCredential())
    assert not is_async_credential(FakeCredential())
    assert not is_async_credential(WithGetToken())


@pytest.mark.parametrize(
    ("result", "token"),
    [
        (Result("abc", 5), Token("abc", 5)),
        (Result("abc", 5, 3), Token("abc", 5, 3)),
    ],
)
def test_a_token_is_parsed_with_its_times(result: Result, token: Token) -> None:
    assert parse_token(result) == token


@pytest.mark.parametrize(
    "result",
    [
        None,
        "abc",
        SimpleNamespace(token=None, expires_on=5),
        SimpleNamespace(token="", expires_on=5),
        SimpleNamespace(token="a b\r\nx: y", expires_on=5),
        SimpleNamespace(token="hunt\u00e9r", expires_on=5),
        SimpleNamespace(token="abc", expires_on=None),
        SimpleNamespace(token="abc"),
    ],
    ids=["None", "str", "token None", "empty token", "header injection", "not ASCII", "expiry None", "no expiry"],
)
def test_an_invalid_token_is_a_failed_login_that_does_not_show_it(result: object) -> None:
    with pytest.raises(LoginFailed) as caught:
        parse_token(result)

    assert "hunt" not in str(caught.value)


def test_the_error_of_a_credential_is_one_line() -> None:
    error = login_failed(RuntimeError("AADSTS700016:\r\n application not found" + "x" * 1000))

    assert str(error).startswith("RuntimeError: AADSTS700016: application not found")
    assert len(str(error)) < 600


def test_a_failed_login_keeps_its_text() -> None:
    assert str(login_failed(LoginFailed("no token"))) == "no token"


CHAIN = (
    "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:\n"
    "\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables are not fully "
    "configured.\nVisit https://aka.ms/azsdk/python/identity/environmentcredential/troubleshoot to troubleshoot this "
    "issue.\n\tWorkloadIdentityCredential: Authentication failed: AADSTS700213: No matching federated identity record "
    "found for presented assertion subject 'system:serviceaccount:shop:reader'. Check your federated identity "
    "credential Subject, Audience and Issuer against the presented assertion. Trace ID: 1 Timestamp: 3"
)


@pytest.mark.parametrize("padding", ["", "Another credential is not available. " * 100], ids=["as it is", "far behind"])
def test_a_long_text_keeps_its_first_sentence_and_that_of_entras_code(padding: str) -> None:
    text = str(login_failed(RuntimeError(CHAIN.replace("\tWorkload", f"\t{padding}Workload"))))

    assert text.startswith(
        "RuntimeError: DefaultAzureCredential failed to retrieve a token from the included credentials. "
    )
    assert (
        "AADSTS700213: No matching federated identity record found for presented assertion subject "
        "'system:serviceaccount:shop:reader'. …"
    ) in text
    assert len(text) < 600


@given(st.text(alphabet="aAB.! \n@/:", max_size=3000), st.text(alphabet="aAB.! \n@/:", max_size=3000))
def test_no_text_is_too_long_and_no_code_is_lost(before: str, after: str) -> None:
    text = str(login_failed(RuntimeError(f"{before} AADSTS700016: Application not found. {after}")))

    assert "AADSTS700016: Application not found." in text
    assert len(text) < 700


@pytest.mark.parametrize("login", ["keeper:MARKED", "keeper:MARKED@MARKED", "MARKED"])
def test_a_text_has_no_password_of_a_proxy(login: str) -> None:
    error = RuntimeError(f"407, message='no', url='http://{login}@proxy.example:3128'")

    assert str(login_failed(error)) == "RuntimeError: 407, message='no', url='http://proxy.example:3128'"


# The cache and concurrent logins.


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Credential:
    """Numbers its tokens; a login waits while `gate` is not set."""

    lifetime: float = 3600
    refresh_in: float | None = None
    error: BaseException | None = None
    logins: int = 0
    clock: Clock = field(default_factory=Clock)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def get_token(self, *scopes: str, **options: object) -> Result:
        self.logins += 1
        self.gate.wait(60)
        if self.error is not None:
            raise self.error
        refresh_on = None if self.refresh_in is None else self.clock.now + self.refresh_in
        return Result(f"token-{self.logins}", self.clock.now + self.lifetime, refresh_on)


class AsyncCredential(Credential):
    """The same for asyncio; every login yields to the event loop once."""

    async def get_token(self, *scopes: str, **options: object) -> Result:  # type: ignore[override]  # a coroutine
        await asyncio.sleep(0)
        return super().get_token(*scopes)


class Sync:
    """A provider for threads, called as one for asyncio."""

    def __init__(self, credential: Credential) -> None:
        self.provider = TokenProvider(credential, credential.clock)

    async def token(self, request: TokenRequest = REQUEST) -> str:
        return self.provider.token(request).text


class Async:
    """A provider for asyncio, with a credential for asyncio or for threads."""

    def __init__(self, credential: Credential) -> None:
        self.provider = AsyncTokenProvider(credential, credential.clock)

    async def token(self, request: TokenRequest = REQUEST) -> str:
        return (await self.provider.token(request)).text


Form = type[Sync] | type[Async]
each = pytest.mark.parametrize(
    ("form", "kind"),
    [(Sync, Credential), (Async, AsyncCredential), (Async, Credential)],
    ids=["threads", "asyncio", "asyncio with a credential for threads"],
)


@each
async def test_a_token_is_cached(form: Form, kind: type[Credential]) -> None:
    credential = kind()
    provider = form(credential)

    assert [await provider.token(), await provider.token()] == ["token-1", "token-1"]


@each
@pytest.mark.parametrize(
    "other", [TokenRequest("other", "tenant-1"), TokenRequest(REQUEST.scope, "other")], ids=["scope", "tenant"]
)
async def test_a_token_is_not_used_for_another_scope_or_tenant(
    form: Form, kind: type[Credential], other: TokenRequest
) -> None:
    provider = form(kind())
    await provider.token()

    assert await provider.token(other) == "token-2"


@each
async def test_a_rejected_token_is_replaced(form: Form, kind: type[Credential]) -> None:
    credential = kind()
    provider = form(credential)
    first = Token(await provider.token(), credential.lifetime)

    assert await provider.token(TokenRequest(REQUEST.scope, "tenant-1", rejected=first)) == "token-2"
    assert await provider.token(TokenRequest(REQUEST.scope, "tenant-1", rejected=first)) == "token-2"


class CachingCredential(Credential):
    """Returns its last token until it is called with claims, as azure-identity's credentials do."""

    cached: Result | None = None
    asked = 0

    def get_token(self, *scopes: str, **options: object) -> Result:
        self.asked += 1
        if self.cached is None or options.get("claims"):
            self.cached = super().get_token(*scopes, **options)
        return self.cached


class AsyncCachingCredential(CachingCredential):
    """The same for asyncio."""

    async def get_token(self, *scopes: str, **options: object) -> Result:  # type: ignore[override]  # a coroutine
        await asyncio.sleep(0)
        return super().get_token(*scopes, **options)


def rejecting(text: str) -> TokenRequest:
    return TokenRequest("scope", rejected=Token(text, 0))


caching = pytest.mark.parametrize(
    ("form", "kind"),
    [(Sync, CachingCredential), (Async, AsyncCachingCredential), (Async, CachingCredential)],
    ids=["threads", "asyncio", "asyncio with a credential for threads"],
)


@caching
async def test_a_rejected_token_in_the_cache_of_the_credential_is_replaced(
    form: Form, kind: type[CachingCredential]
) -> None:
    credential = kind()
    provider = form(credential)
    first = await provider.token(TokenRequest("scope"))

    assert await provider.token(rejecting(first)) == "token-2"
    assert credential.logins == 2


@caching
async def test_another_token_in_the_cache_of_the_credential_needs_no_login(
    form: Form, kind: type[CachingCredential]
) -> None:
    credential = kind()
    provider, of_another_vault = form(credential), form(credential)
    first = await provider.token(TokenRequest("scope"))
    await of_another_vault.token(rejecting(first))

    assert await provider.token(rejecting(first)) == "token-2"
    assert credential.logins == 2


@caching
@pytest.mark.parametrize("claims", [None, '{"a":1}'], ids=["without claims", "with claims"])
@pytest.mark.parametrize("lifetime", [100_000, -3600], ids=["with the right time", "with a clock that is ahead"])
async def test_a_vault_that_rejects_every_token_causes_few_logins(
    form: Form, kind: type[CachingCredential], claims: str | None, lifetime: float
) -> None:
    credential = kind(lifetime=lifetime)
    provider = form(credential)
    text = await provider.token(TokenRequest("scope"))
    changed_at = []
    for second in range(121):
        credential.clock.now = second
        before, text = text, await provider.token(replace(rejecting(text), claims=claims))
        changed_at += [second] if text != before else []

    assert changed_at == [0, 5, 15, 35, 65, 95]
    assert credential.logins == 1 + len(changed_at)


@caching
async def test_a_later_rejection_is_again_replaced_at_once(form: Form, kind: type[CachingCredential]) -> None:
    credential = kind(lifetime=100_000)
    provider = form(credential)
    await provider.token(TokenRequest("scope"))
    await provider.token(rejecting("token-1"))
    credential.clock.now = 1000

    changes = [await provider.token(rejecting("token-2"))]
    credential.clock.now += REPLACEMENT_SECONDS
    changes.append(await provider.token(rejecting("token-3")))

    assert changes == ["token-3", "token-4"]


@caching
async def test_a_clock_that_is_set_back_delays_no_replacement(form: Form, kind: type[CachingCredential]) -> None:
    credential = kind(lifetime=100_000)
    credential.clock.now = 50_000
    provider = form(credential)
    await provider.token(TokenRequest("scope"))
    await provider.token(rejecting("token-1"))
    credential.clock.now = 10_000

    assert await provider.token(rejecting("token-2")) == "token-3"


@caching
async def test_a_credential_that_has_only_the_rejected_token_is_asked_seldom(
    form: Form, kind: type[CachingCredential]
) -> None:
    credential = kind(lifetime=100_000)
    provider = form(credential)
    await provider.token(TokenRequest("scope"))
    credential.logins = 0  # its next token has the same text

    texts = [await provider.token(rejecting("token-1")) for _ in range(10)]

    assert set(texts) == {"token-1"}
    assert credential.asked == 3


@caching
async def test_claims_are_passed_on_and_requested_once(form: Form, kind: type[CachingCredential]) -> None:
    credential = kind()
    provider = form(credential)
    await provider.token(TokenRequest("scope"))
    credential.logins = 0

    await provider.token(TokenRequest("scope", claims='{"a":1}', rejected=Token("token-1", 0)))

    assert credential.logins == 1


@each
async def test_a_token_is_renewed_five_minutes_before_its_expiry(form: Form, kind: type[Credential]) -> None:
    credential = kind()
    provider = form(credential)
    await provider.token()

    credential.clock.now = 3600 - RENEW_BEFORE_EXPIRY_SECONDS - 1
    early = await provider.token()
    credential.clock.now += 1
    late = await provider.token()

    assert (early, late) == ("token-1", "token-2")


@each
async def test_a_clock_that_is_ahead_does_not_cause_a_login_for_each_call(form: Form, kind: type[Credential]) -> None:
    credential = kind(lifetime=-3600)
    provider = form(credential)

    first = [await provider.token() for _ in range(3)]
    credential.clock.now += FALLBACK_SECONDS
    second = [await provider.token() for _ in range(3)]

    assert (first, second) == (["token-1"] * 3, ["token-2"] * 3)


@each
async def test_a_token_is_renewed_at_its_refresh_on(form: Form, kind: type[Credential]) -> None:
    credential = kind(refresh_in=1000)
    provider = form(credential)
    await provider.token()

    credential.clock.now = 1000

    assert await provider.token() == "token-2"


@each
async def test_after_a_failed_renewal_the_token_is_used_and_the_next_renewal_delayed(
    form: Form, kind: type[Credential]
) -> None:
    credential = kind()
    provider = form(credential)
    await provider.token()
    credential.clock.now = 3600 - RENEW_BEFORE_EXPIRY_SECONDS
    credential.error = OSError("the login host is unreachable")

    used = [await provider.token(), await provider.token()]
    tries = credential.logins
    credential.clock.now += FALLBACK_SECONDS
    await provider.token()

    assert used == ["token-1", "token-1"]
    assert (tries, credential.logins) == (2, 3)


@each
async def test_a_failed_login_has_its_cause(form: Form, kind: type[Credential]) -> None:
    credential = kind(error=OSError("the login host is unreachable"))

    with pytest.raises(LoginFailed, match="OSError: the login host is unreachable") as caught:
        await form(credential).token()
    assert caught.value.__cause__ is credential.error


@each
async def test_a_token_close_to_its_expiry_is_not_used_after_a_failed_renewal(
    form: Form, kind: type[Credential]
) -> None:
    credential = kind()
    provider = form(credential)
    await provider.token()
    credential.clock.now = 3600 - FALLBACK_SECONDS
    credential.error = OSError("the login host is unreachable")

    with pytest.raises(LoginFailed):
        await provider.token()


@each
async def test_a_failed_login_is_not_cached(form: Form, kind: type[Credential]) -> None:
    credential = kind(error=OSError("unreachable"))
    provider = form(credential)
    with pytest.raises(LoginFailed):
        await provider.token()
    credential.error = None

    assert await provider.token() == "token-2"


def test_fifty_threads_log_in_once() -> None:
    credential = Credential()
    credential.gate.clear()
    provider = TokenProvider(credential, credential.clock)
    started = threading.Barrier(51)

    def token() -> str:
        started.wait(60)
        return provider.token(REQUEST).text

    with ThreadPoolExecutor(50) as pool:
        tokens = [pool.submit(token) for _ in range(50)]
        started.wait(60)
        credential.gate.set()

    assert {future.result() for future in tokens} == {"token-1"}
    assert credential.logins == 1


async def test_five_hundred_tasks_log_in_once() -> None:
    credential = AsyncCredential()
    provider = Async(credential)

    tokens = await asyncio.gather(*[provider.token() for _ in range(500)])

    assert set(tokens) == {"token-1"}
    assert credential.logins == 1


async def test_all_waiting_tasks_get_the_error_of_a_failed_login() -> None:
    credential = AsyncCredential(error=OSError("unreachable"))
    provider = Async(credential)

    failures = await asyncio.gather(*[provider.token() for _ in range(500)], return_exceptions=True)

    assert {type(failure) for failure in failures} == {LoginFailed}
    assert credential.logins == 1


def test_an_interrupted_login_does_not_block_later_ones() -> None:
    credential = Credential(error=KeyboardInterrupt())
    provider = TokenProvider(credential, credential.clock)

    with pytest.raises(KeyboardInterrupt):
        provider.token(REQUEST)
    credential.error = None

    assert provider.token(REQUEST).text == "token-2"


async def test_cancelling_one_waiting_task_does_not_cancel_the_login() -> None:
    credential = AsyncCredential()
    provider = Async(credential)
    first, second = asyncio.create_task(provider.token()), asyncio.create_task(provider.token())
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "token-1"
    assert credential.logins == 1


if sys.version_info >= (3, 12):

    class ImmediateCredential(Credential):
        async def get_token(self, *scopes: str, **options: object) -> Result:  # type: ignore[override]  # a coroutine
            return super().get_token(*scopes)

    async def test_an_eager_task_may_end_a_login_at_once() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        credential = ImmediateCredential()
        form = Async(credential)

        assert await form.token() == "token-1"
        credential.clock.now += credential.lifetime
        assert await form.token() == "token-2"


async def test_close_cancels_a_login_in_flight() -> None:
    forever = asyncio.Event()

    class Stuck:
        async def get_token(self, *scopes: str, **options: object) -> Result:
            await forever.wait()
            raise AssertionError

    provider = AsyncTokenProvider(Stuck(), Clock())
    waiting = asyncio.create_task(provider.token(REQUEST))
    await asyncio.sleep(0)

    await provider.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@given(
    lifetime=st.floats(0, 1e6),
    refresh=st.none() | st.floats(0, 1e6),
    failed_at=st.floats(0, 1e6),
    requested_at=st.floats(0, 1e6),
)
def test_no_token_is_returned_after_its_expiry_unless_it_is_new(
    lifetime: float, refresh: float | None, failed_at: float, requested_at: float
) -> None:
    cache = TokenCache()
    cache.put(REQUEST, Token("t", lifetime, refresh), 0.0)

    fallback = cache.get_after_failure(REQUEST, failed_at)
    cached = cache.get(REQUEST, requested_at)

    assert fallback is None or failed_at < lifetime
    assert cached is None or requested_at < max(lifetime, FALLBACK_SECONDS)
