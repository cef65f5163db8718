"""Asks credentials for tokens and remembers the answer, one login for all who wait; knows no challenge and no HTTP.

A credential is whatever has azure-core's `get_token` or `get_token_info`: all of azure-identity, or a class of yours.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypedDict, runtime_checkable

from kvsecrets._flow import Login, Token
from kvsecrets.errors import LoginFailed

RENEW_SECONDS = 300
"""A token with less than this left is renewed before it is used, as the vendor's clients do."""
SPARE_SECONDS = 30
"""After a renewal that failed, a token that still has this much left is used, and for as long no new login is tried."""
_REASON_CHARACTERS = 500


class AccessToken(Protocol):
    """What a credential returns: azure-core's `AccessToken` and `AccessTokenInfo` both are this."""

    @property
    def token(self) -> str:
        """The token itself."""
        ...

    @property
    def expires_on(self) -> int:
        """When it ends, in seconds since 1970."""
        ...


class TokenOptions(TypedDict, total=False):
    """What `get_token_info` is told beside the scope."""

    claims: str
    tenant_id: str
    enable_cae: bool


@runtime_checkable
class TokenCredential(Protocol):
    """A credential for threads with azure-core's older method."""

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
    """A credential for threads with azure-core's newer method."""

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        """Return a token for a scope."""
        ...


@runtime_checkable
class AsyncTokenCredential(Protocol):
    """A credential for asyncio with azure-core's older method."""

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
    """A credential for asyncio with azure-core's newer method."""

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        """Return a token for a scope."""
        ...


SyncCredential: TypeAlias = TokenCredential | SupportsTokenInfo
AnyCredential: TypeAlias = SyncCredential | AsyncTokenCredential | AsyncSupportsTokenInfo


def is_async(credential: AnyCredential) -> bool:
    """Whether a credential is one for asyncio."""
    method = getattr(credential, "get_token_info", None) or getattr(credential, "get_token", None)
    return inspect.iscoroutinefunction(method)


def question(credential: AnyCredential, login: Login) -> Callable[[], Any]:
    """Return the call that asks a credential for a token; its result may have to be awaited."""
    options = TokenOptions(enable_cae=True)
    if login.tenant is not None:
        options["tenant_id"] = login.tenant
    if login.claims is not None:
        options["claims"] = login.claims
    newer = getattr(credential, "get_token_info", None)
    if newer is not None:
        return lambda: newer(login.scope, options=options)
    older = getattr(credential, "get_token", None)
    if older is None:
        raise TypeError(f"{type(credential).__name__} is no credential: it has neither get_token nor get_token_info")
    return lambda: older(login.scope, **options)


def read(answer: object) -> Token:
    """Read what a credential returned."""
    text, expires_on = getattr(answer, "token", None), getattr(answer, "expires_on", None)
    refresh_on = getattr(answer, "refresh_on", None)
    if not isinstance(text, str) or not isinstance(expires_on, int | float):
        raise LoginFailed(f"the credential returned a {type(answer).__name__}, which is no access token")
    return Token(text, expires_on, refresh_on if isinstance(refresh_on, int | float) else None)


def failed(error: Exception) -> LoginFailed:
    """Return the error for a credential that raised; its own words are kept, shortened to one line."""
    if isinstance(error, LoginFailed):
        return LoginFailed(*error.args)
    return LoginFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:_REASON_CHARACTERS]}")


@dataclass(slots=True)
class Memory:
    """The token that a client holds, and whether it will do; no lock in here, the owners below take care."""

    token: Token | None = None
    scope: str = ""
    tenant: str | None = None
    quiet_until: float = 0.0

    def usable(self, login: Login, now: float) -> Token | None:
        """Return the token if it is for this login, was not refused and need not be renewed yet."""
        token = self._matching(login)
        if token is None:
            return None
        renew_at = token.expires_on - RENEW_SECONDS
        if token.refresh_on is not None:
            renew_at = min(renew_at, token.refresh_on)
        return token if now < max(renew_at, self.quiet_until) else None

    def keep(self, login: Login, token: Token) -> Token:
        """Remember a new token."""
        self.token, self.scope, self.tenant, self.quiet_until = token, login.scope, login.tenant, 0.0
        return token

    def spare(self, login: Login, now: float) -> Token | None:
        """After a login that failed: return the old token if it will still do for a while."""
        token = self._matching(login)
        if token is None or now >= token.expires_on - SPARE_SECONDS:
            return None
        self.quiet_until = min(now + SPARE_SECONDS, token.expires_on - SPARE_SECONDS)
        return token

    def _matching(self, login: Login) -> Token | None:
        same = self.scope == login.scope and self.tenant == login.tenant and self.token != login.refused
        return self.token if same else None


class Logins:
    """Tokens for threads: while one thread logs in, the others that need the same token wait for its result."""

    def __init__(self, credential: SyncCredential, clock: Callable[[], float]) -> None:
        self._credential = credential
        self._clock = clock
        self._memory = Memory()
        self._lock = threading.Lock()
        self._under_way: dict[Login, Future[Token]] = {}

    def token(self, login: Login) -> Token:
        """Return a token that will do.

        Raises:
            LoginFailed: The credential gave none.
        """
        if (token := self._memory.usable(login, self._clock())) is not None:
            return token
        with self._lock:
            if (token := self._memory.usable(login, self._clock())) is not None:
                return token
            future = self._under_way.get(login)
            mine = future is None
            if future is None:
                future = self._under_way[login] = Future()
        if mine:
            self._settle(login, future)
        try:
            return future.result()
        except Exception as error:  # noqa: BLE001 - a credential may raise whatever it likes
            raise failed(error) from (error.__cause__ or error)

    def _settle(self, login: Login, future: "Future[Token]") -> None:
        try:
            token = read(question(self._credential, login)())
        except BaseException as error:
            with self._lock:
                del self._under_way[login]
                spare = self._memory.spare(login, self._clock()) if isinstance(error, Exception) else None
            if spare is None:
                future.set_exception(error)
            else:
                future.set_result(spare)
            if not isinstance(error, Exception):
                raise
        else:
            with self._lock:
                del self._under_way[login]
                self._memory.keep(login, token)
            future.set_result(token)


class AsyncLogins:
    """Tokens for tasks: while one login is under way, all tasks that need the same token wait for its result."""

    def __init__(self, credential: AnyCredential, clock: Callable[[], float]) -> None:
        self._credential = credential
        self._clock = clock
        self._memory = Memory()
        self._under_way: dict[Login, asyncio.Task[Token]] = {}

    async def token(self, login: Login) -> Token:
        """Return a token that will do.

        Raises:
            LoginFailed: The credential gave none.
        """
        if (token := self._memory.usable(login, self._clock())) is not None:
            return token
        task = self._under_way.get(login)
        if task is None:
            task = self._under_way[login] = asyncio.create_task(self._settle(login))
        try:
            # The login belongs to all who wait: one of them being cancelled does not end it for the others.
            return await asyncio.shield(task)
        except Exception as error:  # noqa: BLE001 - a credential may raise whatever it likes
            raise failed(error) from (error.__cause__ or error)

    async def close(self) -> None:
        """End a login that is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, login: Login) -> Token:
        try:
            return self._memory.keep(login, read(await self._ask(login)))
        except Exception:
            if (spare := self._memory.spare(login, self._clock())) is None:
                raise
            return spare
        finally:
            del self._under_way[login]

    async def _ask(self, login: Login) -> object:
        ask = question(self._credential, login)
        answer = ask() if is_async(self._credential) else await asyncio.to_thread(ask)
        return await answer if isinstance(answer, Awaitable) else answer
