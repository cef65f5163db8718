"""One login for all who wait, renewed in time, and not lost when a renewal fails."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._flow import Login, Token
from kvsecrets._logins import RENEW_SECONDS, SPARE_SECONDS, AsyncLogins, Logins, Memory
from kvsecrets.errors import LoginFailed

LOGIN = Login("scope", "tenant")


class Answer(NamedTuple):
    token: str
    expires_on: float
    refresh_on: float | None = None


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Credential:
    """Numbers its tokens; a gate, if there is one, holds every login up until it opens."""

    lifetime: float = 3600
    refresh_in: float | None = None
    error: BaseException | None = None
    logins: int = 0
    clock: Clock = field(default_factory=Clock)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def get_token(self, *scopes: str, **options: object) -> Answer:
        self.logins += 1
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        refresh_on = None if self.refresh_in is None else self.clock.now + self.refresh_in
        return Answer(f"token-{self.logins}", self.clock.now + self.lifetime, refresh_on)


class AsyncCredential(Credential):
    """The same for asyncio; every login takes one turn of the event loop."""

    async def get_token(self, *scopes: str, **options: object) -> Answer:  # type: ignore[override]  # the twin
        await asyncio.sleep(0)
        return super().get_token(*scopes)


class Sync:
    """The twin for threads, called as the one for asyncio is."""

    def __init__(self, credential: Credential) -> None:
        self.logins = Logins(credential, credential.clock)

    async def token(self, login: Login = LOGIN) -> str:
        return self.logins.token(login).text


class Async:
    """The twin for asyncio, with a credential for asyncio or for threads."""

    def __init__(self, credential: Credential) -> None:
        self.logins = AsyncLogins(credential, credential.clock)

    async def token(self, login: Login = LOGIN) -> str:
        return (await self.logins.token(login)).text


Twin = type[Sync] | type[Async]
each = pytest.mark.parametrize(
    ("twin", "kind"),
    [(Sync, Credential), (Async, AsyncCredential), (Async, Credential)],
    ids=["threads", "asyncio", "asyncio with a credential for threads"],
)


@each
async def test_a_token_is_used_again(twin: Twin, kind: type[Credential]) -> None:
    credential = kind()
    logins = twin(credential)

    assert [await logins.token(), await logins.token()] == ["token-1", "token-1"]


@each
@pytest.mark.parametrize("other", [Login("other", "tenant"), Login("scope", "other")], ids=["scope", "tenant"])
async def test_a_token_is_not_used_for_anything_else(twin: Twin, kind: type[Credential], other: Login) -> None:
    logins = twin(kind())
    await logins.token()

    assert await logins.token(other) == "token-2"


@each
async def test_a_token_that_was_refused_is_replaced(twin: Twin, kind: type[Credential]) -> None:
    credential = kind()
    logins = twin(credential)
    first = Token(await logins.token(), credential.lifetime)

    assert await logins.token(Login("scope", "tenant", refused=first)) == "token-2"
    assert await logins.token(Login("scope", "tenant", refused=first)) == "token-2"


@each
async def test_a_token_is_renewed_five_minutes_before_its_end(twin: Twin, kind: type[Credential]) -> None:
    credential = kind()
    logins = twin(credential)
    await logins.token()

    credential.clock.now = 3600 - RENEW_SECONDS - 1
    early = await logins.token()
    credential.clock.now += 1
    late = await logins.token()

    assert (early, late) == ("token-1", "token-2")


@each
async def test_a_token_is_renewed_when_its_issuer_says_so(twin: Twin, kind: type[Credential]) -> None:
    credential = kind(refresh_in=1000)
    logins = twin(credential)
    await logins.token()

    credential.clock.now = 1000

    assert await logins.token() == "token-2"


@each
async def test_a_renewal_that_fails_leaves_the_token_in_use_and_is_not_tried_all_the_time(
    twin: Twin, kind: type[Credential]
) -> None:
    credential = kind()
    logins = twin(credential)
    await logins.token()
    credential.clock.now = 3600 - RENEW_SECONDS
    credential.error = OSError("the login host is away")

    used = [await logins.token(), await logins.token()]
    tries = credential.logins
    credential.clock.now += SPARE_SECONDS
    await logins.token()

    assert used == ["token-1", "token-1"]
    assert (tries, credential.logins) == (2, 3)


@each
async def test_a_login_that_fails_is_told_with_its_cause(twin: Twin, kind: type[Credential]) -> None:
    credential = kind(error=OSError("the login host is away"))

    with pytest.raises(LoginFailed, match="OSError: the login host is away") as caught:
        await twin(credential).token()
    assert caught.value.__cause__ is credential.error


@each
async def test_an_expired_token_is_not_used_when_its_renewal_fails(twin: Twin, kind: type[Credential]) -> None:
    credential = kind()
    logins = twin(credential)
    await logins.token()
    credential.clock.now = 3600 - SPARE_SECONDS
    credential.error = OSError("the login host is away")

    with pytest.raises(LoginFailed):
        await logins.token()


@each
async def test_after_a_failure_the_next_login_is_a_new_one(twin: Twin, kind: type[Credential]) -> None:
    credential = kind(error=OSError("away"))
    logins = twin(credential)
    with pytest.raises(LoginFailed):
        await logins.token()
    credential.error = None

    assert await logins.token() == "token-2"


def test_fifty_threads_log_in_once() -> None:
    credential = Credential()
    credential.gate.clear()
    logins = Logins(credential, credential.clock)
    started = threading.Barrier(51)

    def token() -> str:
        started.wait(10)
        return logins.token(LOGIN).text

    with ThreadPoolExecutor(50) as pool:
        tokens = [pool.submit(token) for _ in range(50)]
        started.wait(10)
        credential.gate.set()

    assert {future.result() for future in tokens} == {"token-1"}
    assert credential.logins == 1


async def test_five_hundred_tasks_log_in_once() -> None:
    credential = AsyncCredential()
    logins = Async(credential)

    tokens = await asyncio.gather(*[logins.token() for _ in range(500)])

    assert set(tokens) == {"token-1"}
    assert credential.logins == 1


async def test_all_who_wait_for_a_login_that_fails_hear_of_it_and_none_tries_again() -> None:
    credential = AsyncCredential(error=OSError("away"))
    logins = Async(credential)

    failures = await asyncio.gather(*[logins.token() for _ in range(500)], return_exceptions=True)

    assert {type(failure) for failure in failures} == {LoginFailed}
    assert credential.logins == 1


def test_a_login_that_is_interrupted_is_interrupted_for_its_thread_alone() -> None:
    credential = Credential(error=KeyboardInterrupt())
    logins = Logins(credential, credential.clock)

    with pytest.raises(KeyboardInterrupt):
        logins.token(LOGIN)
    credential.error = None

    assert logins.token(LOGIN).text == "token-2"


async def test_a_task_that_is_cancelled_does_not_take_the_login_away_from_the_others() -> None:
    credential = AsyncCredential()
    logins = Async(credential)
    first, second = asyncio.create_task(logins.token()), asyncio.create_task(logins.token())
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "token-1"
    assert credential.logins == 1


async def test_closing_ends_a_login_that_is_under_way() -> None:
    forever = asyncio.Event()

    class Stuck:
        async def get_token(self, *scopes: str, **options: object) -> Answer:
            await forever.wait()
            raise AssertionError

    logins = AsyncLogins(Stuck(), Clock())
    waiting = asyncio.create_task(logins.token(LOGIN))
    await asyncio.sleep(0)

    await logins.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@given(
    lifetime=st.floats(0, 1e6),
    refresh=st.none() | st.floats(0, 1e6),
    failed_at=st.floats(0, 1e6),
    asked_at=st.floats(0, 1e6),
)
def test_no_token_is_ever_handed_out_after_its_end(
    lifetime: float, refresh: float | None, failed_at: float, asked_at: float
) -> None:
    memory = Memory()
    memory.keep(LOGIN, Token("t", lifetime, refresh))

    spare = memory.spare(LOGIN, failed_at)
    usable = memory.usable(LOGIN, asked_at)

    assert spare is None or failed_at < lifetime
    assert usable is None or asked_at < lifetime
