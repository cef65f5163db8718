"""Long-running operations as flows: what counts as the end, and how the waiting goes, in no time at all."""

from collections.abc import Callable

import pytest

from kvsecrets._flow import Flow, Now, Pause
from kvsecrets._operations import Vault
from kvsecrets._waiting import (
    Progress,
    deletion_id,
    deletion_progress,
    recovery_id,
    recovery_progress,
    resumed_deletion,
    resumed_recovery,
    wait_for_completion,
)
from kvsecrets.errors import ServerFailed
from kvsecrets.models import DeletedSecret, SecretId, SecretProperties
from tests.unit.kvsecrets.stepping import DELETED, SECRET, URL, VERSION, Talk, answer, asked, refusal, vault


def test_a_deletion_is_done_when_the_secret_is_among_the_deleted() -> None:
    _, talk = asked(deletion_progress(vault(), "db"))
    progress = talk.answer(answer(DELETED)).result

    assert progress.done
    assert isinstance(progress.value, DeletedSecret)


def test_a_recovery_is_done_when_the_secret_can_be_read() -> None:
    request, talk = asked(recovery_progress(vault(), "db"))
    progress = talk.answer(answer(SECRET)).result

    assert progress.done
    assert isinstance(progress.value, SecretProperties)
    assert request.url == f"{URL}/secrets/db?api-version=7.4"


@pytest.mark.parametrize("look", [deletion_progress, recovery_progress])
def test_not_found_means_that_it_goes_on(look: type) -> None:
    _, talk = asked(look(vault(), "db"))

    assert talk.answer(refusal(404, "SecretNotFound")).result == Progress(done=False)


@pytest.mark.parametrize("look", [deletion_progress, recovery_progress])
@pytest.mark.parametrize("inner", [None, "ForbiddenByRbac", "SecretDisabled"])
def test_forbidden_means_that_it_is_done_although_we_may_not_see_it(look: type, inner: str | None) -> None:
    _, talk = asked(look(vault(), "db"))

    assert talk.answer(refusal(403, "Forbidden", inner)).result == Progress(done=True)


@pytest.mark.parametrize("look", [deletion_progress, recovery_progress])
def test_any_other_refusal_is_raised(look: type) -> None:
    _, talk = asked(look(vault(), "db"))

    with pytest.raises(ServerFailed):
        talk.answer(refusal(500, "InternalServerError"))


class Looks:
    """An operation that is done at the n-th look; a look asks for the time, which stands for a request."""

    def __init__(self, needed: int) -> None:
        self.needed = needed

    def __call__(self) -> Flow[Progress[str]]:
        self.needed -= 1
        yield Now()
        return Progress(done=self.needed == 0, value="done" if self.needed == 0 else None)


def test_waiting_looks_until_it_is_done_and_pauses_in_between() -> None:
    talk = Talk(wait_for_completion(Looks(2), interval=2, timeout=None)).answer(0.0).answer(0.0)
    pause = talk.wants

    assert pause == Pause(2, 2)
    assert talk.answer(None).answer(2.0).result == Progress(done=True, value="done")


def test_waiting_for_what_is_done_does_not_pause() -> None:
    assert Talk(wait_for_completion(Looks(1), interval=2, timeout=0)).answer(0.0).answer(0.0).result.done


def test_waiting_ends_before_a_pause_that_would_last_too_long() -> None:
    talk = Talk(wait_for_completion(Looks(9), interval=2, timeout=5)).answer(100.0).answer(0.0)
    talk.answer(102.9).answer(None).answer(0.0)

    with pytest.raises(TimeoutError, match="within 5 s"):
        talk.answer(103.1)


PROPERTIES = SecretProperties(id=SecretId("https://vault-by-another-name", "db", VERSION))


def test_a_deletion_is_found_again_by_its_id() -> None:
    deleted = DeletedSecret(properties=PROPERTIES, recovery_id="https://vault-by-another-name/deletedsecrets/db")

    assert resumed_deletion(vault(), deletion_id(vault(), deleted)) == ("db", Progress(done=False))


def test_a_deletion_without_soft_delete_is_over_when_it_is_found_again() -> None:
    name, progress = resumed_deletion(vault(), deletion_id(vault(), DeletedSecret(properties=PROPERTIES)))

    assert (name, progress.done) == ("db", True)
    assert progress.value is not None
    assert (progress.value.name, progress.value.recovery_id) == ("db", None)


def test_a_recovery_is_found_again_by_its_id() -> None:
    assert resumed_recovery(vault(), recovery_id(vault(), PROPERTIES)) == "db"


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
@pytest.mark.parametrize("resumed", [resumed_deletion, resumed_recovery])
def test_the_id_of_another_operation_or_vault_is_refused(
    operation_id: str, resumed: Callable[[Vault, str], object]
) -> None:
    with pytest.raises(ValueError, match=r"operation id|secret name"):
        resumed(vault(), operation_id)
