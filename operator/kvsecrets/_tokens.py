"""Access tokens: what a credential is, and a cache that renews tokens and shares one login between concurrent calls.

A credential is any object with azure-core's `get_token` or `get_token_info`: all of azure-identity's, or your own.
Knows no HTTP and no challenge.
"""

import asyncio
import inspect
import re
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypedDict, runtime_checkable

from kvsecrets._protocol import Token, TokenRequest
from kvsecrets.errors import LoginFailed

RENEW_BEFORE_EXPIRY_SECONDS = 300
"""A token with less than this left is renewed before it is used, as the vendor's clients do."""
FALLBACK_SECONDS = 30
"""After a failed renewal, a token that still has this much left is used, and no renewal is tried for this long.

Nor is it for a new token: to a clock that is ahead, each token has expired when it is issued.
"""
REPLACEMENT_SECONDS = 5
"""A token that replaced a rejected one is kept for this long although it is rejected too; each further one twice as
long, up to `MAX_REPLACEMENT_SECONDS`. A vault that rejects every token thus causes few logins."""
MAX_REPLACEMENT_SECONDS = 30
NO_CLAIMS = "{}"
"""Claims that require nothing. With any claims azure-identity's credentials request a token, and without they may
return one of their own cache; all of them merge these into the request that they would send anyway."""
_MAX_REASON_CHARACTERS = 500
_MAX_TEXT_CHARACTERS = 20_000
"""No more of a credential's text is looked at: it may have the whole response of a proxy."""
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_ENTRA_CODE = re.compile(r"\bAADSTS[0-9]{1,9}\b")
"""https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""
_USER_INFO = re.compile(r"//[^/\s]*@")
"""User and password in a URL: aiohttp's errors name the proxy by the URL that it was given."""
_HEADER_SAFE = re.compile(r"[!-~]+")
"""A token with other characters cannot be sent in a header; httpx would raise an error that contains it."""


class AccessToken(Protocol):
    """The result of a credential; azure-core's `AccessToken` and `AccessTokenInfo` both match."""

    @property
    def token(self) -> str:
        """The token itself."""
        ...

    @property
    def expires_on(self) -> float:
        """Expiry, in seconds since 1970."""
        ...


class TokenOptions(TypedDict, total=False):
    """The options of `get_token_info`."""

    claims: str
    tenant_id: str
    enable_cae: bool


@runtime_checkable
class TokenCredential(Protocol):
    """A synchronous credential with `get_token`.

    https://learn.microsoft.com/python/api/azure-core/azure.core.credentials.tokencredential
    """

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - as azure-core has it
    ) -> AccessToken:
        """Return a token for a scope."""
        ...


@runtime_checkable
class SupportsTokenInfo(Protocol):
    """A synchronous credential with `get_token_info`.

    https://learn.microsoft.com/python/api/azure-core/azure.core.credentials.supportstokeninfo
    """

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        """Return a token for a scope."""
        ...


@runtime_checkable
class AsyncTokenCredential(Protocol):
    """A credential for asyncio with `get_token`.

    https://learn.microsoft.com/python/api/azure-core/azure.core.credentials_async.asynctokencredential
    """

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - as azure-core has it
    ) -> AccessToken:
        """Return a token for a scope."""
        ...


@runtime_checkable
class AsyncSupportsTokenInfo(Protocol):
    """A credential for asyncio with `get_token_info`.

    https://learn.microsoft.com/python/api/azure-core/azure.core.credentials_async.asyncsupportstokeninfo
    """

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        """Return a token for a scope."""
        ...


SyncCredential: TypeAlias = TokenCredential | SupportsTokenInfo
AnyCredential: TypeAlias = SyncCredential | AsyncTokenCredential | AsyncSupportsTokenInfo


def check_credential(credential: object) -> None:
    """Raise a `TypeError` unless an object has a method of a credential."""
    if inspect.isclass(credential):
        raise TypeError(f"credential: {credential.__name__} is a class; pass an instance of it")
    if not hasattr(credential, "get_token_info") and not hasattr(credential, "get_token"):
        given = type(credential).__name__
        raise TypeError(f"credential: must have get_token or get_token_info, as azure-identity's have, not {given}")


def is_async_credential(credential: AnyCredential) -> bool:
    """Whether a credential's methods are coroutine functions."""
    method = getattr(credential, "get_token_info", None) or getattr(credential, "get_token", None)
    return inspect.iscoroutinefunction(method)


def credential_call(credential: AnyCredential, request: TokenRequest) -> Callable[[], Any]:
    """Return a function that requests a token from a credential; its result may be awaitable."""
    options = TokenOptions(enable_cae=True)
    if request.tenant is not None:
        options["tenant_id"] = request.tenant
    if request.claims is not None:
        options["claims"] = request.claims
    get_token_info = getattr(credential, "get_token_info", None)
    if get_token_info is not None:
        return lambda: get_token_info(request.scope, options=options)
    get_token: Any = getattr(credential, "get_token", None)
    return lambda: get_token(request.scope, **options)


def without_cache(request: TokenRequest, token: Token) -> TokenRequest | None:
    """Return the request for another token if a credential returned the rejected one, which it had cached.

    A request with claims is not repeated: it bypassed the cache.
    """
    if request.claims is not None or request.rejected is None or token.text != request.rejected.text:
        return None
    return replace(request, claims=NO_CLAIMS)


def parse_token(result: object) -> Token:
    """Check and convert what a credential returned.

    Raises:
        LoginFailed: It is not a token, or one that no header can carry.
    """
    text, expires_on = getattr(result, "token", None), getattr(result, "expires_on", None)
    refresh_on = getattr(result, "refresh_on", None)
    if not isinstance(text, str) or not isinstance(expires_on, int | float):
        given = type(result).__name__
        raise LoginFailed(f"the credential returned {given}: it must have a str token and a number expires_on")
    if not _HEADER_SAFE.fullmatch(text):
        raise LoginFailed("the credential's token is empty, or has characters that no header can carry")
    return Token(text, expires_on, refresh_on if isinstance(refresh_on, int | float) else None)


def login_failed(error: Exception) -> LoginFailed:
    """Return the error for a credential that raised, with its own text, in one line of whole sentences."""
    if isinstance(error, LoginFailed):
        return LoginFailed(*error.args)
    text = _USER_INFO.sub("//", " ".join(str(error)[:_MAX_TEXT_CHARACTERS].split()))
    return LoginFailed(f"{type(error).__name__}: {_shortened(text)}")


def _shortened(text: str) -> str:
    """Return whole sentences of a long text: the first, the one with Microsoft Entra's code, and what else fits."""
    if len(text) <= _MAX_REASON_CHARACTERS:
        return text
    sentences = [_cut(sentence) for sentence in _SENTENCE.split(text)]
    coded = next((number for number, sentence in enumerate(sentences) if _ENTRA_CODE.search(sentence)), 0)
    kept = {0, coded}
    left = _MAX_REASON_CHARACTERS - sum(len(sentences[number]) for number in kept)
    for number, sentence in enumerate(sentences):
        if number not in kept:
            left -= len(sentence)
            if left < 0:
                break
            kept.add(number)
    last = len(sentences) - 1
    return " ".join(f"{sentences[one]}{'' if one == last or one + 1 in kept else ' …'}" for one in sorted(kept))


def _cut(sentence: str) -> str:
    """Return a sentence of at most half of the characters, from the code on if it has one, cut between two words."""
    most = _MAX_REASON_CHARACTERS // 2
    if len(sentence) <= most:
        return sentence
    code = _ENTRA_CODE.search(sentence)
    part = sentence[code.start() if code else 0 :]
    if len(part) <= most:
        return part
    words = part[:most].rpartition(" ")[0]
    # A text without blanks is cut anywhere.
    return f"{words if len(words) * 2 > most else part[:most]}…"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A token, what it is for, and until when no renewal is tried.

    `replaced_at` is when the token replaced one that was rejected, and `kept_seconds` is how long it is kept from then.
    """

    token: Token
    scope: str
    tenant: str | None
    no_renewal_until: float = 0.0
    replaced_at: float = 0.0
    kept_seconds: float = 0.0

    def is_kept(self, now: float) -> bool:
        """Whether it is too early to replace the token again; not if the clock was set back."""
        return self.replaced_at <= now < self.replaced_at + self.kept_seconds

    def replaced(self, token: Token, now: float) -> "_Entry":
        """Return the entry after the token was rejected and replaced."""
        doubled = now < self.replaced_at + 2 * self.kept_seconds + REPLACEMENT_SECONDS
        kept = 2 * self.kept_seconds if doubled and self.kept_seconds else REPLACEMENT_SECONDS
        return _Entry(
            token,
            self.scope,
            self.tenant,
            no_renewal_until=now + FALLBACK_SECONDS,
            replaced_at=now,
            kept_seconds=min(kept, MAX_REPLACEMENT_SECONDS),
        )


class TokenCache:
    """The token of one client. Each change is a single assignment, so readers need no lock."""

    def __init__(self) -> None:
        self._entry: _Entry | None = None

    def get(self, request: TokenRequest, now: float) -> Token | None:
        """Return the cached token if it is for this request and due neither for renewal nor for replacement."""
        entry = self._matching(request)
        if entry is None or (_is_rejected(entry, request) and not entry.is_kept(now)):
            return None
        renew_at = entry.token.expires_on - RENEW_BEFORE_EXPIRY_SECONDS
        if entry.token.refresh_on is not None:
            renew_at = min(renew_at, entry.token.refresh_on)
        return entry.token if now < max(renew_at, entry.no_renewal_until) else None

    def put(self, request: TokenRequest, token: Token, now: float) -> Token:
        """Store a new token and return it."""
        old = self._matching(request)
        if old is not None and _is_rejected(old, request):
            self._entry = old.replaced(token, now)
        else:
            self._entry = _Entry(token, request.scope, request.tenant, no_renewal_until=now + FALLBACK_SECONDS)
        return token

    def get_after_failure(self, request: TokenRequest, now: float) -> Token | None:
        """Return the old token after a failed renewal, if it is still valid for a while; delays the next renewal."""
        entry = self._matching(request)
        if entry is None or _is_rejected(entry, request) or now >= entry.token.expires_on - FALLBACK_SECONDS:
            return None
        until = min(now + FALLBACK_SECONDS, entry.token.expires_on - FALLBACK_SECONDS)
        self._entry = replace(entry, no_renewal_until=until)
        return entry.token

    def _matching(self, request: TokenRequest) -> _Entry | None:
        entry = self._entry
        if entry is None or (entry.scope, entry.tenant) != (request.scope, request.tenant):
            return None
        return entry


def _is_rejected(entry: _Entry, request: TokenRequest) -> bool:
    return request.rejected is not None and entry.token.text == request.rejected.text


class TokenProvider:
    """Tokens for threads: concurrent calls that need the same token share one login."""

    def __init__(self, credential: SyncCredential, clock: Callable[[], float]) -> None:
        self._credential = credential
        self._clock = clock
        self._cache = TokenCache()
        self._lock = threading.Lock()
        self._in_flight: dict[TokenRequest, Future[Token]] = {}

    def token(self, request: TokenRequest, timeout: float | None = None) -> Token:
        """Return a valid token, from the cache or from the credential.

        Raises:
            LoginFailed: The credential gave no token.
            TimeoutError: The login of another call has not ended within `timeout` seconds; its own has no bound.
        """
        if (token := self._cache.get(request, self._clock())) is not None:
            return token
        with self._lock:
            if (token := self._cache.get(request, self._clock())) is not None:
                return token
            future = self._in_flight.get(request)
            is_first = future is None
            if future is None:
                future = self._in_flight[request] = Future()
        if is_first:
            self._login(request, future)
        elif wait((future,), timeout).not_done:
            raise TimeoutError
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001 - a credential may raise any exception
            raise login_failed(error) from (error.__cause__ or error)

    def _login(self, request: TokenRequest, future: "Future[Token]") -> None:
        try:
            token = parse_token(credential_call(self._credential, request)())
            if (again := without_cache(request, token)) is not None:
                token = parse_token(credential_call(self._credential, again)())
        except Exception as error:  # noqa: BLE001 - a credential may raise any exception
            if (old := self._cache.get_after_failure(request, self._clock())) is None:
                future.set_exception(error)
            else:
                future.set_result(old)
        except BaseException:
            future.set_exception(LoginFailed("the thread that was logging in was interrupted"))
            raise
        else:
            future.set_result(self._cache.put(request, token, self._clock()))
        finally:
            with self._lock:
                del self._in_flight[request]


class AsyncTokenProvider:
    """Tokens for tasks: concurrent calls that need the same token share one login."""

    def __init__(self, credential: AnyCredential, clock: Callable[[], float]) -> None:
        self._credential = credential
        self._clock = clock
        self._cache = TokenCache()
        self._in_flight: dict[TokenRequest, asyncio.Task[Token]] = {}

    async def token(self, request: TokenRequest) -> Token:
        """Return a valid token, from the cache or from the credential.

        Raises:
            LoginFailed: The credential gave no token.
        """
        if (token := self._cache.get(request, self._clock())) is not None:
            return token
        task = self._in_flight.get(request)
        if task is None:
            task = asyncio.create_task(self._login(request))
            if not task.done():  # an eager task factory may have run all of it
                self._in_flight[request] = task
        try:
            # All waiting calls share the login: cancelling one of them must not cancel it for the others.
            return await asyncio.shield(task)
        except Exception as error:  # noqa: BLE001 - a credential may raise any exception
            raise login_failed(error) from (error.__cause__ or error)

    async def close(self) -> None:
        """Cancel logins in flight."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        if tasks:  # else this works without an event loop of asyncio, too: the error of a call stays the only one
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _login(self, request: TokenRequest) -> Token:
        try:
            token = parse_token(await self._call_credential(request))
            if (again := without_cache(request, token)) is not None:
                token = parse_token(await self._call_credential(again))
        except Exception:
            if (old := self._cache.get_after_failure(request, self._clock())) is None:
                raise
            return old
        else:
            return self._cache.put(request, token, self._clock())
        finally:
            self._in_flight.pop(request, None)

    async def _call_credential(self, request: TokenRequest) -> object:
        call = credential_call(self._credential, request)
        # A synchronous credential does network I/O; it must not block the event loop.
        result = call() if is_async_credential(self._credential) else await asyncio.to_thread(call)
        return await result if isinstance(result, Awaitable) else result
