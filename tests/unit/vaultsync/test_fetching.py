"""What is read of a plan, in which order, and what an absence becomes."""

import asyncio

import pytest

from tests.builders import READ_AT, VAULT, a_reading, a_vault_secret, an_entry
from vaultsync.fetching import Fetch
from vaultsync.rules.outcome import NotThere, Reason, SecretRef, SyncError
from vaultsync.rules.plan import Plan
from vaultsync.rules.readings import Absent, Reading
from vaultsync.rules.wanted import Wanted

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


def gone(name: str) -> NotThere:
    return NotThere(Reason.SECRET_NOT_FOUND, f"There is no {name}.", looked_at=READ_AT)


def plan(*refs: SecretRef, first: tuple[SecretRef, ...] = (), optional: tuple[SecretRef, ...] = ()) -> Plan:
    wanted = tuple(Wanted(ref, optional=ref in optional) for ref in refs)
    return Plan(wanted, {}, "because", first=frozenset(first))


async def test_everything_is_read_in_the_plans_order() -> None:
    readings = await Fetch(Shelf(), a_vault_secret().spec).all(plan(A, B, C, first=(B,)))

    assert list(readings) == [A, B, C]


async def test_what_is_due_is_read_first_and_the_rest_not_in_vain() -> None:
    shelf = Shelf(b=denied("b"))

    with pytest.raises(SyncError, match="No permission for b"):
        await Fetch(shelf, a_vault_secret().spec).all(plan(A, B, C, first=(B,)))

    assert shelf.asked == ["b"]


async def test_of_several_failures_the_first_in_the_plan_is_told() -> None:
    with pytest.raises(SyncError, match="No permission for b"):
        await Fetch(Shelf(b=denied("b"), c=denied("c")), a_vault_secret().spec).all(plan(A, B, C))


@pytest.mark.parametrize(
    ("optional", "policy", "absent"),
    [(False, "Retain", False), (True, "Retain", True), (False, "Delete", True)],
    ids=["one that must be there", "one that may be absent", "one whose key goes with it"],
)
async def test_what_is_not_there_is_a_failure_or_an_absence(optional: bool, policy: str, absent: bool) -> None:
    spec = a_vault_secret(an_entry(), on_source_deleted=policy).spec
    fetch, wanted = Fetch(Shelf(a=gone("a")), spec), plan(A, optional=(A,) if optional else ())

    if absent:
        reading = (await fetch.all(wanted))[A]
        assert isinstance(reading, Absent)
        assert (reading.read_at, reading.why.message) == (READ_AT, "There is no a.")
    else:
        with pytest.raises(NotThere):
            await fetch.all(wanted)
