"""Gets and remembers tokens: one login for all who wait, renewed in time. How a credential is asked is not here."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from kvsecrets._credentials import AnyCredential, SyncCredential, failed, is_async, question, read
from kvsecrets._flow import Login, Token
from kvsecrets.errors import LoginFailed

RENEW_SECONDS = 300
"""A token with less than this left is renewed before it is used, as the vendor's clients do."""
SPARE_SECONDS = 30
"""After a renewal that failed, a token that still has this much left is used, and for as long no new login is tried."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A token, what it is for, and until when no renewal is tried."""

    token: Token
    scope: str
    tenant: str | None
    quiet_until: float = 0.0


class Memory:
    """The token that a client holds, and whether it will do. Each change is one assignment, so readers need no lock."""

    def __init__(self) -> None:
        self._held: _Held | None = None

    def usable(self, login: Login, now: float) -> Token | None:
        """Return the token if it is for this login, was not refused and need not be renewed yet."""
        held = self._matching(login)
        if held is None:
            return None
        renew_at = held.token.expires_on - RENEW_SECONDS
        if held.token.refresh_on is not None:
            renew_at = min(renew_at, held.token.refresh_on)
        return held.token if now < max(renew_at, held.quiet_until) else None

    def keep(self, login: Login, token: Token) -> Token:
        """Remember a new token."""
        self._held = _Held(token, login.scope, login.tenant)
        return token

    def spare(self, login: Login, now: float) -> Token | None:
        """After a login that failed: return the old token if it will still do for a while."""
        held = self._matching(login)
        if held is None or now >= held.token.expires_on - SPARE_SECONDS:
            return None
        self._held = replace(held, quiet_until=min(now + SPARE_SECONDS, held.token.expires_on - SPARE_SECONDS))
        return held.token

    def _matching(self, login: Login) -> _Held | None:
        held = self._held
        if held is None or (held.scope, held.tenant) != (login.scope, login.tenant) or held.token == login.refused:
            return None
        return held


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
        except Exception as error:  # noqa: BLE001 - a credential may raise whatever it likes
            if (spare := self._memory.spare(login, self._clock())) is None:
                future.set_exception(error)
            else:
                future.set_result(spare)
        except BaseException:
            future.set_exception(LoginFailed("the thread that was logging in was interrupted"))
            raise
        else:
            future.set_result(self._memory.keep(login, token))
        finally:
            with self._lock:
                del self._under_way[login]


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
