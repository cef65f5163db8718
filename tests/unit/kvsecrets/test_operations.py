"""Long-running operations: polling, waiting and resuming, as flows and for threads and asyncio."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kvsecrets._lro import (
    Progress,
    deletion_id,
    poll_deletion,
    poll_recovery,
    poll_until_done,
    recovery_id,
    resume_deletion,
    resume_recovery,
)
from kvsecrets._protocol import Done, Flow, Now, Pause, advance
from kvsecrets._requests import Vault
from kvsecrets.errors import FirewallDenied, ResponseError, ServerFailed, Throttled
from kvsecrets.models import DeletedSecret, SecretId, SecretProperties
from kvsecrets.operations import (
    AsyncDeleteSecretOperation,
    AsyncRecoverDeletedSecretOperation,
    DeleteSecretOperation,
    RecoverDeletedSecretOperation,
)
from tests.unit.kvsecrets.stepper import (
    DELETED,
    SECRET,
    URL,
    VERSION,
    Stepper,
    error_response,
    response,
    step_to_request,
    vault,
)


def test_a_deletion_has_completed_when_the_deleted_secret_can_be_read() -> None:
    _, stepper = step_to_request(poll_deletion(vault(), "db"))
    progress = stepper.resume(response(DELETED)).result

    assert progress.done
    assert isinstance(progress.value, DeletedSecret)


def test_a_recovery_has_completed_when_the_secret_can_be_read() -> None:
    request, stepper = step_to_request(poll_recovery(vault(), "db"))
    progress = stepper.resume(response(SECRET)).result

    assert progress.done
    assert isinstance(progress.value, SecretProperties)
    assert request.url == f"{URL}/secrets/db?api-version=7.4"


@pytest.mark.parametrize("poll", [poll_deletion, poll_recovery])
def test_404_means_in_progress(poll: type) -> None:
    _, stepper = step_to_request(poll(vault(), "db"))

    assert stepper.resume(error_response(404, "SecretNotFound")).result == Progress(done=False)


@pytest.mark.parametrize("poll", [poll_deletion, poll_recovery])
@pytest.mark.parametrize("inner", [None, "ForbiddenByRbac", "SecretDisabled"])
def test_403_means_completed_without_permission_to_read(poll: type, inner: str | None) -> None:
    _, stepper = step_to_request(poll(vault(), "db"))

    assert stepper.resume(error_response(403, "Forbidden", inner)).result == Progress(done=True)


@pytest.mark.parametrize("poll", [poll_deletion, poll_recovery])
@pytest.mark.parametrize(
    ("status", "inner", "kind"),
    [(500, None, ServerFailed), (403, "ForbiddenByFirewall", FirewallDenied), (429, None, Throttled)],
)
def test_any_other_error_is_raised(poll: type, status: int, inner: str | None, kind: type[ResponseError]) -> None:
    """The 403 of a firewall, too, is no sign that the operation has completed."""
    _, stepper = step_to_request(poll(vault(), "db"))

    with pytest.raises(kind):
        stepper.resume(error_response(status, "SomeCode", inner))


class Polls:
    """An operation that has completed at the n-th poll; a poll reads the clock in place of a request."""

    def __init__(self, needed: int) -> None:
        self.needed = needed

    def __call__(self) -> Flow[Progress[str]]:
        self.needed -= 1
        yield Now()
        return Progress(done=self.needed == 0, value="done" if self.needed == 0 else None)


def test_polling_pauses_between_polls() -> None:
    stepper = Stepper(poll_until_done(Polls(2), interval=2, timeout=None)).resume(0.0).resume(0.0)
    pause = stepper.effect

    assert pause == Pause(2, 2)
    assert stepper.resume(None).resume(2.0).result == Progress(done=True, value="done")


def test_polling_a_completed_operation_does_not_pause() -> None:
    assert Stepper(poll_until_done(Polls(1), interval=2, timeout=0)).resume(0.0).resume(0.0).result.done


@pytest.mark.parametrize(
    ("timeout", "pauses"),
    [(0, []), (1, [1]), (2, [2]), (5, [2, 2, 1]), (5.5, [2, 2, 1.5])],
    ids=str,
)
def test_polling_uses_its_whole_timeout_and_polls_at_its_end(timeout: float, pauses: list[float]) -> None:
    polls = Polls(99)
    runner = FakeRunner(seconds_per_effect=0)

    with pytest.raises(TimeoutError, match=f"within {timeout:g} s"):
        runner.run(poll_until_done(polls, interval=2, timeout=timeout))

    assert runner.paused == pauses
    assert polls.needed == 99 - len(pauses) - 1


@pytest.mark.parametrize(
    ("interval", "timeout", "error"),
    [
        (-1, None, ValueError),
        (float("nan"), None, ValueError),
        ("2", None, TypeError),
        (2, -1, ValueError),
        (2, float("nan"), ValueError),
        (2, "5", TypeError),
    ],
    ids=str,
)
def test_wrong_seconds_of_polling_are_rejected_before_the_first_poll(
    interval: Any,  # noqa: ANN401 - also invalid ones
    timeout: Any,  # noqa: ANN401 - also invalid ones
    error: type[Exception],
) -> None:
    polls = Polls(99)

    with pytest.raises(error, match=r"^poll_interval|^timeout"):
        Stepper(poll_until_done(polls, interval, timeout))
    assert polls.needed == 99


def test_polling_ends_with_the_operation_that_completes_at_the_timeout() -> None:
    assert FakeRunner(seconds_per_effect=0).run(poll_until_done(Polls(2), interval=2, timeout=1)).done


READ = SecretProperties(id=SecretId("https://other-host", "db", VERSION))


def test_a_deletion_is_resumed_by_its_id() -> None:
    deleted = DeletedSecret(properties=READ, recovery_id="https://other-host/deletedsecrets/db")

    assert resume_deletion(vault(), deletion_id(vault(), deleted)) == ("db", Progress(done=False))


def test_a_deletion_without_soft_delete_is_resumed_as_completed() -> None:
    name, progress = resume_deletion(vault(), deletion_id(vault(), DeletedSecret(properties=READ)))

    assert (name, progress.done) == ("db", True)
    assert progress.value is not None
    assert (progress.value.name, progress.value.recovery_id) == ("db", None)


def test_a_recovery_is_resumed_by_its_id() -> None:
    assert resume_recovery(vault(), recovery_id(vault(), READ)) == "db"


@pytest.mark.parametrize(
    "operation_id",
    [
        "",
        "db",
        f"{URL}/keys/db",
        "https://other.vault.azure.net/deletedsecrets/db",
        f"{URL}/deletedsecrets/",
        f"{URL}/deletedsecrets/a_b",
        f"{URL}/deletedsecrets/../db",
    ],
)
@pytest.mark.parametrize("resume", [resume_deletion, resume_recovery])
def test_the_id_of_another_operation_or_vault_is_rejected(
    operation_id: str, resume: Callable[[Vault, str], object]
) -> None:
    with pytest.raises(ValueError, match=r"operation id|secret name"):
        resume(vault(), operation_id)


# Operations for threads and for asyncio.

RESULT = DeletedSecret(properties=SecretProperties(id=SecretId("https://shop.vault.azure.net", "db")))
ID = "https://shop.vault.azure.net/deletedsecrets/db"


class FakeRunner:
    """Runs flows; each poll returns the next progress, time passes by itself, and pauses are counted."""

    def __init__(self, *polls: Progress[DeletedSecret], seconds_per_effect: float = 1) -> None:
        self.polls = list(polls)
        self.time = 0.0
        self.paused: list[float] = []
        self._seconds_per_effect = seconds_per_effect

    def poll(self) -> Flow[Progress[DeletedSecret]]:
        yield from ()
        return self.polls.pop(0)

    def run(self, flow: Flow[Any], /) -> Any:  # noqa: ANN401 - the result of the flow
        step = advance(flow, None)
        while not isinstance(step, Done):
            self.time += self._seconds_per_effect
            if isinstance(step, Pause):
                self.paused.append(step.max_seconds)
                self.time += step.max_seconds
            step = advance(flow, self.time if isinstance(step, Now) else None)
        return step.result

    async def run_async(self, flow: Flow[Any], /) -> Any:  # noqa: ANN401 - the result of the flow
        return self.run(flow)


class Sync:
    """An operation for threads, called as one for asyncio."""

    def __init__(self, start: Progress[DeletedSecret], runner: FakeRunner) -> None:
        self.operation = DeleteSecretOperation(ID, start, runner.poll, runner.run)

    async def update_status(self) -> bool:
        return self.operation.update_status()

    async def wait(self, timeout: float | None = None) -> DeletedSecret:  # noqa: ASYNC109 - the argument under test
        return self.operation.wait(timeout=timeout)


class Async:
    """An operation for asyncio."""

    def __init__(self, start: Progress[DeletedSecret], runner: FakeRunner) -> None:
        self.operation = AsyncDeleteSecretOperation(ID, start, runner.poll, runner.run_async)

    async def update_status(self) -> bool:
        return await self.operation.update_status()

    async def wait(self, timeout: float | None = None) -> DeletedSecret:  # noqa: ASYNC109 - the argument under test
        return await self.operation.wait(timeout=timeout)


Form = type[Sync] | type[Async]
both = pytest.mark.parametrize("form", [Sync, Async])
STARTED = Progress(done=False, value=RESULT)
RUNNING: Progress[DeletedSecret] = Progress(done=False)
DONE = Progress(done=True, value=RESULT)


@both
async def test_the_value_is_available_at_once(form: Form) -> None:
    operation = form(STARTED, FakeRunner()).operation

    assert (operation.value, operation.has_completed, operation.id) == (RESULT, False, ID)


@both
async def test_update_status_returns_whether_it_has_completed(form: Form) -> None:
    started = form(STARTED, FakeRunner(RUNNING, DONE))

    assert [await started.update_status(), await started.update_status()] == [False, True]
    assert started.operation.has_completed


@both
async def test_a_completed_operation_is_not_polled(form: Form) -> None:
    completed = form(DONE, FakeRunner())

    assert await completed.update_status()
    assert await completed.wait() == RESULT


@both
async def test_wait_returns_the_value_after_completion(form: Form) -> None:
    runner = FakeRunner(RUNNING, RUNNING, DONE)

    assert await form(STARTED, runner).wait() == RESULT
    assert runner.paused == [2, 2]


@both
async def test_wait_has_a_timeout(form: Form) -> None:
    with pytest.raises(TimeoutError):
        await form(STARTED, FakeRunner(RUNNING, RUNNING)).wait(timeout=3)


@both
async def test_a_resumed_operation_has_no_value_until_it_has_completed(form: Form) -> None:
    resumed = form(RUNNING, FakeRunner(RUNNING, DONE))

    with pytest.raises(LookupError, match="wait"):
        _ = resumed.operation.value
    assert await resumed.wait() == RESULT


@both
async def test_a_resumed_operation_without_permission_to_read_raises_after_completion(form: Form) -> None:
    with pytest.raises(LookupError, match="secrets/get is missing"):
        await form(RUNNING, FakeRunner(Progress(done=True))).wait()


@both
async def test_the_value_of_the_start_is_kept_without_permission_to_read(form: Form) -> None:
    assert await form(STARTED, FakeRunner(Progress(done=True))).wait() == RESULT


def test_a_recovery_is_an_operation_too() -> None:
    poll: Callable[[], Flow[Progress[SecretProperties]]] = partial(poll_recovery, vault(), "db")
    start = Progress(done=True, value=RESULT.properties)

    assert RecoverDeletedSecretOperation("id", start, poll, FakeRunner().run).value == RESULT.properties
    assert AsyncRecoverDeletedSecretOperation("id", start, poll, FakeRunner().run_async).has_completed
