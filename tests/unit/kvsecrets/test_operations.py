"""Operations that can be waited for, left and taken up again; both twins by the same tests."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kvsecrets._flow import Done, Flow, Now, Pause, advance
from kvsecrets._waiting import Progress, recovery_progress
from kvsecrets.models import DeletedSecret, SecretId, SecretProperties
from kvsecrets.operations import (
    AsyncDeleteSecretOperation,
    AsyncRecoverDeletedSecretOperation,
    DeleteSecretOperation,
    RecoverDeletedSecretOperation,
)
from tests.unit.kvsecrets.stepping import vault

DELETED = DeletedSecret(properties=SecretProperties(id=SecretId("https://shop.vault.azure.net", "db")))
ID = "https://shop.vault.azure.net/deletedsecrets/db"


class Vault:
    """Answers each look with the next progress; time passes by itself, and pauses are only counted."""

    def __init__(self, *looks: Progress[DeletedSecret]) -> None:
        self.looks = list(looks)
        self.time = 0.0
        self.pauses = 0

    def look(self) -> Flow[Progress[DeletedSecret]]:
        yield from ()
        return self.looks.pop(0)

    def run(self, flow: Flow[Any], /) -> Any:  # noqa: ANN401 - whatever the flow returns
        step = advance(flow, None)
        while not isinstance(step, Done):
            self.time += 1
            self.pauses += isinstance(step, Pause)
            step = advance(flow, self.time if isinstance(step, Now) else None)
        return step.result

    async def run_async(self, flow: Flow[Any], /) -> Any:  # noqa: ANN401 - whatever the flow returns
        return self.run(flow)


class Sync:
    """The twin for threads, called as the one for asyncio is."""

    def __init__(self, start: Progress[DeletedSecret], vault: Vault) -> None:
        self.operation = DeleteSecretOperation(ID, start, vault.look, vault.run)

    async def update_status(self) -> bool:
        return self.operation.update_status()

    async def wait(self, timeout: float | None = None) -> DeletedSecret:  # noqa: ASYNC109 - the name under test
        return self.operation.wait(timeout=timeout)


class Async:
    """The twin for asyncio."""

    def __init__(self, start: Progress[DeletedSecret], vault: Vault) -> None:
        self.operation = AsyncDeleteSecretOperation(ID, start, vault.look, vault.run_async)

    async def update_status(self) -> bool:
        return await self.operation.update_status()

    async def wait(self, timeout: float | None = None) -> DeletedSecret:  # noqa: ASYNC109 - the name under test
        return await self.operation.wait(timeout=timeout)


Twin = type[Sync] | type[Async]
both = pytest.mark.parametrize("twin", [Sync, Async])
STARTED = Progress(done=False, value=DELETED)
GOING_ON: Progress[DeletedSecret] = Progress(done=False)
DONE = Progress(done=True, value=DELETED)


@both
async def test_the_value_is_there_at_once(twin: Twin) -> None:
    operation = twin(STARTED, Vault()).operation

    assert (operation.value, operation.has_completed, operation.id) == (DELETED, False, ID)


@both
async def test_a_look_tells_whether_it_has_ended(twin: Twin) -> None:
    started = twin(STARTED, Vault(GOING_ON, DONE))

    assert [await started.update_status(), await started.update_status()] == [False, True]
    assert started.operation.has_completed


@both
async def test_what_has_ended_is_not_looked_at_again(twin: Twin) -> None:
    ended = twin(DONE, Vault())

    assert await ended.update_status()
    assert await ended.wait() == DELETED


@both
async def test_waiting_returns_the_value_at_the_end(twin: Twin) -> None:
    shop = Vault(GOING_ON, GOING_ON, DONE)

    assert await twin(STARTED, shop).wait() == DELETED
    assert shop.pauses == 2


@both
async def test_waiting_has_an_end_of_its_own(twin: Twin) -> None:
    with pytest.raises(TimeoutError):
        await twin(STARTED, Vault(GOING_ON, GOING_ON)).wait(timeout=3)


@both
async def test_what_was_resumed_has_no_value_until_the_vault_shows_it(twin: Twin) -> None:
    resumed = twin(GOING_ON, Vault(GOING_ON, DONE))

    with pytest.raises(LookupError, match="wait"):
        _ = resumed.operation.value
    assert await resumed.wait() == DELETED


@both
async def test_what_was_resumed_and_may_not_be_seen_says_so_at_its_end(twin: Twin) -> None:
    with pytest.raises(LookupError, match="to read it is forbidden"):
        await twin(GOING_ON, Vault(Progress(done=True))).wait()


@both
async def test_an_end_that_we_may_not_see_keeps_the_value_of_the_start(twin: Twin) -> None:
    assert await twin(STARTED, Vault(Progress(done=True))).wait() == DELETED


def test_a_recovery_is_an_operation_of_the_same_kind() -> None:
    look: Callable[[], Flow[Progress[SecretProperties]]] = partial(recovery_progress, vault(), "db")
    start = Progress(done=True, value=DELETED.properties)

    assert RecoverDeletedSecretOperation("id", start, look, Vault().run).value == DELETED.properties
    assert AsyncRecoverDeletedSecretOperation("id", start, look, Vault().run_async).has_completed
