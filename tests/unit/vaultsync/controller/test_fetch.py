"""What is read together, which failure is told, and what an absence becomes."""

import asyncio

import pytest

from tests.builders import READ_AT, VAULT, a_reading, a_vault_secret, an_entry
from vaultsync.controller.fetch import Fetch
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import MissingReading, Reading, SecretRef

A, B, C = (SecretRef(name) for name in "abc")


class Shelf:
    """Secrets that can be read, and why others cannot."""

    def __init__(self, **troubles: SyncError) -> None:
        self.troubles = troubles
        self.asked: list[str] = []

    async def read(self, vault_url: str, ref: SecretRef) -> Reading:
        assert vault_url == VAULT
        self.asked.append(ref.name)
        await asyncio.sleep(0)
        if ref.name in self.troubles:
            raise self.troubles[ref.name]
        return a_reading(ref.name)


def denied(name: str) -> SyncError:
    return SyncError(Reason.ACCESS_DENIED, f"No permission for {name}.")


def gone(name: str) -> SecretNotFound:
    return SecretNotFound(Reason.SECRET_NOT_FOUND, f"There is no {name}.", polled_at=READ_AT)


def wanted(*refs: SecretRef, optional: tuple[SecretRef, ...] = ()) -> list[SecretRequest]:
    return [SecretRequest(ref, optional=ref in optional) for ref in refs]


async def test_everything_is_read_at_once_and_told_in_order() -> None:
    shelf = Shelf()

    readings = await Fetch(shelf, a_vault_secret().spec).some(wanted(A, B, C))

    assert (list(readings), shelf.asked) == ([A, B, C], ["a", "b", "c"])


async def test_of_several_failures_the_first_is_told() -> None:
    with pytest.raises(SyncError, match="No permission for b"):
        await Fetch(Shelf(b=denied("b"), c=denied("c")), a_vault_secret().spec).some(wanted(A, B, C))


@pytest.mark.parametrize(
    ("optional", "policy", "absent"),
    [(False, "Retain", False), (True, "Retain", True), (False, "Delete", True)],
    ids=["one that must be there", "one that may be absent", "one whose key goes with it"],
)
async def test_what_is_not_there_is_a_failure_or_an_absence(optional: bool, policy: str, absent: bool) -> None:
    spec = a_vault_secret(an_entry(), on_source_deleted=policy).spec
    fetch, asked = Fetch(Shelf(a=gone("a")), spec), wanted(A, optional=(A,) if optional else ())

    if absent:
        reading = (await fetch.some(asked))[A]
        assert isinstance(reading, MissingReading)
        assert (reading.read_at, reading.why.message) == (READ_AT, "There is no a.")
    else:
        with pytest.raises(SecretNotFound):
            await fetch.some(asked)
