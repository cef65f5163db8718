"""Who led when, and whether each write came from the leader of then: pure functions over the audit log."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from tests.e2e.takeover.trail import LEASES, Call

LeaseOf = Callable[[Call], str]
"""Returns the name of the Lease that the one who sends a write must hold: that of the shard of its namespace."""

_STAMPED_LATE: Final = 0.25
"""Seconds within which the API server dates an answer that is on its way already: a release may follow that fast."""


@dataclass(frozen=True, slots=True)
class Term:
    """A time for which one operator held a Lease without a gap.

    Args:
        lease: The Lease's name.
        holder: The operator's identity.
        begins: When the API server received the write by which it got the Lease.
        renewed: When it received the last write by which the holder kept it.
        ends: When the Lease was released, or ran out, counted from that last write.
        released: Whether it was released.
    """

    lease: str
    holder: str
    begins: float
    renewed: float
    ends: float
    released: bool = False

    def covers(self, call: Call) -> bool:
        """Whether a call was received and answered in this term."""
        tolerance = _STAMPED_LATE if self.released else 0.0
        return self.begins <= call.received <= self.ends and call.done <= self.ends + tolerance


def terms(calls: Sequence[Call], lease: str) -> list[Term]:
    """All terms of a Lease, the oldest first; the last one may go on."""
    found: list[Term] = []
    for call in _writes_of(calls, lease):
        last = found[-1] if found and not found[-1].released and call.received <= found[-1].ends else None
        holder = "" if call.lease is None else call.lease.holder
        ends = call.received + (0.0 if call.lease is None else call.lease.seconds)
        if last is not None and holder == last.holder:
            found[-1] = replace(last, renewed=call.received, ends=ends)
        elif last is not None and call.identity == last.holder:
            found[-1] = replace(last, ends=call.received, released=True)
        elif holder:
            found.append(Term(lease, holder, call.received, call.received, ends))
    return found


def _writes_of(calls: Sequence[Call], lease: str) -> list[Call]:
    """The successful writes and deletions of a Lease, in their order."""
    ours = [call for call in calls if call.resource == LEASES and call.name == lease and call.succeeded]
    return sorted((one for one in ours if one.lease or one.verb == "delete"), key=lambda call: call.received)


def violations(calls: Sequence[Call], lease_of: LeaseOf, *, ordered: bool = True) -> Iterator[str]:
    """What a former leader did, or two at once: nothing, if all is well.

    Args:
        calls: What the audit log has.
        lease_of: Which Lease a write needs.
        ordered: Whether resource versions only grow.
    """
    names = {call.name for call in calls if call.lease is not None}
    of_lease = {name: terms(calls, name) for name in sorted(names)}
    for name, its_terms in of_lease.items():
        yield from _taken_early(name, its_terms)
        if ordered:
            yield from _out_of_order(name, _writes_of(calls, name))
    served: dict[str, dict[Term, Call]] = {}
    for call in filter(lambda call: call.is_write, calls):
        held = [term for term in of_lease.get(lease_of(call), ()) if term.holder == call.identity]
        term = next((term for term in held if term.covers(call)), None)
        if term is None:
            yield f"{call} without the Lease {lease_of(call)}{_lateness(call, held)}"
            continue
        before = served.setdefault(call.namespace, {})
        if term not in before:
            yield from _beside(call, before)
            before[term] = call


def _out_of_order(name: str, writes: Sequence[Call]) -> Iterator[str]:
    versions = [call.lease.version for call in writes if call.lease is not None]
    if versions != sorted(versions):
        yield f"the Lease {name} was written without its resource version"


def _taken_early(name: str, its_terms: Sequence[Term]) -> Iterator[str]:
    for one, other in pairwise(its_terms):
        if one.ends > other.begins:
            early = one.ends - other.begins
            yield f"{other.holder} took the Lease {name} {early:.3f} s before {one.holder}'s had run out"


def _beside(call: Call, served: Iterable[Term]) -> Iterator[str]:
    """What is wrong if others serve the namespace, by another Lease, while a replica begins to."""
    for term in served:
        if term.holder != call.identity and call.received < term.ends:
            yield f"{call} while {term.holder} held {term.lease} for the same namespace"


def _lateness(call: Call, held: Sequence[Term]) -> str:
    earlier = [term for term in held if term.begins <= call.received]
    return f", {call.done - earlier[-1].ends:.3f} s after it had ended" if earlier else ", which it had not got yet"
