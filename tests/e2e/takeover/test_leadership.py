"""The checker of leadership notices each kind of forged history, and passes a true one; without a cluster."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.takeover.leadership import Term, terms, violations
from tests.e2e.takeover.trail import Call, LeaseState, calls

LEASE: Final = "vaultsync-0"
SECONDS: Final = 15.0


def held(holder: str, at: float, *, by: str = "", version: int = 0) -> Call:
    """A write after which the Lease has a holder, by default by that holder."""
    state = LeaseState(version or int(10 * at), holder, SECONDS)
    return Call(by or holder, "update", "leases", "kube-system", LEASE, at, at + 0.01, lease=state)


def released(holder: str, at: float) -> Call:
    """The holder's write by which it lets the Lease go."""
    return held("", at, by=holder)


def wrote(identity: str, at: float, *, took: float = 0.01, **fields: Any) -> Call:  # noqa: ANN401 - those of Call
    """A write of a Secret."""
    return Call(identity, "patch", "secrets", "shop", "db", at, at + took, **fields)


def found(*history: Call) -> list[str]:
    return list(violations(history, lambda _: LEASE))


@pytest.mark.parametrize(
    "history",
    [
        [held("a", 0), wrote("a", 1), held("a", 10), wrote("a", 20), held("b", 26), wrote("b", 26)],
        [held("a", 0), wrote("a", 1), released("a", 2), held("b", 2.5), wrote("b", 3)],
        # A refused write changes nothing, and neither does a dry run.
        [held("a", 0), held("b", 16), wrote("a", 17, code=409), wrote("a", 17, changes=False)],
        # What ran out may be taken up again by the same holder.
        [held("a", 0), held("a", 30), wrote("a", 31)],
    ],
    ids=["taken over", "handed over", "refused", "renewed late"],
)
def test_a_true_history_passes(history: list[Call]) -> None:
    assert found(*history) == []


@pytest.mark.parametrize(
    ("history", "what"),
    [
        ([held("a", 0), wrote("a", 15.5), held("b", 16)], "0.510 s after it had ended"),
        ([held("a", 0), wrote("a", 14.9, took=0.2)], "0.100 s after it had ended"),
        ([held("a", 0), held("b", 16), wrote("a", 17)], "2.010 s after it had ended"),
        ([held("a", 0), wrote("a", 16), held("a", 17)], "1.010 s after it had ended"),
        ([held("a", 0), released("a", 2), wrote("a", 3)], "1.010 s after it had ended"),
        ([held("a", 0), wrote("a", 1.5, took=1.0), released("a", 2)], "0.500 s after it had ended"),
        ([held("a", 0), wrote("b", 1)], "which it had not got yet"),
        ([wrote("a", 0), held("a", 1)], "which it had not got yet"),
        ([held("a", 0), held("b", 14)], "b took the Lease vaultsync-0 1.000 s before a's had run out"),
        ([held("a", 0), held("b", 2, by="b"), held("a", 4)], "before a's had run out"),
        ([held("a", 0, version=5), held("a", 2, version=4)], "without its resource version"),
    ],
)
def test_a_forged_history_is_noticed(history: list[Call], what: str) -> None:
    assert [what in violation for violation in found(*history)].count(True) == 1


def test_each_write_needs_the_lease_of_its_shard() -> None:
    other = Call("a", "patch", "secrets", "other", "db", 1.0, 1.1)
    history = [held("a", 0), wrote("a", 1), other]

    wrong = list(violations(history, lambda call: {"shop": LEASE, "other": "vaultsync-1"}[call.namespace]))

    assert wrong == [f"{other} without the Lease vaultsync-1, which it had not got yet"]


def test_holders_of_different_leases_that_write_for_the_same_namespace_are_noticed() -> None:
    second = LeaseState(1, "b", SECONDS)
    theirs = Call("b", "update", "leases", "kube-system", "second-0", 2.0, 2.01, lease=second)
    history = [held("a", 0), wrote("a", 1), theirs]

    def wrong(*calls: Call) -> list[str]:
        return list(violations(calls, lambda call: {"a": LEASE, "b": "second-0"}[call.identity]))

    assert wrong(*history) == []
    assert wrong(*history, wrote("b", 15.5)) == []
    assert wrong(*history, late := wrote("b", 14.5)) == [f"{late} while a held {LEASE} for the same namespace"]


def test_terms_end_by_release_or_by_time() -> None:
    history = [held("a", 0), held("a", 4), released("a", 6), held("b", 6.5), held("c", 22)]

    its = terms(history, LEASE)

    assert its == [
        Term(LEASE, "a", 0, 4, 6, released=True),
        Term(LEASE, "b", 6.5, 6.5, 21.5),
        Term(LEASE, "c", 22, 22, 37),
    ]


def test_a_deleted_lease_ends_its_term() -> None:
    gone = Call("a", "delete", "leases", "kube-system", LEASE, 2.0, 2.01)

    assert terms([held("a", 0), gone], LEASE) == [Term(LEASE, "a", 0, 0, 2, released=True)]


def audited(**fields: object) -> dict[str, object]:
    """An event as the API server writes it."""
    return {
        "stage": "ResponseComplete",
        "verb": "update",
        "userAgent": "vaultsync/1.2.3 (pod-1_abc)",
        "requestURI": "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/vaultsync-0",
        "objectRef": {
            "resource": "leases",
            "namespace": "kube-system",
            "name": LEASE,
            "apiGroup": "coordination.k8s.io",
        },
        "responseStatus": {"code": 200},
        "responseObject": {
            "kind": "Lease",
            "metadata": {"name": LEASE, "resourceVersion": "7"},
            "spec": {"holderIdentity": "pod-1_abc", "leaseDurationSeconds": 15},
        },
        "requestReceivedTimestamp": "2026-01-01T00:00:00.500000Z",
        "stageTimestamp": "2026-01-01T00:00:01.000000Z",
        **fields,
    }


def test_an_audit_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    others = audited(userAgent="kubectl/v1.34"), audited(objectRef=None), audited(stage="ResponseStarted")
    review = audited(objectRef={"resource": "tokenreviews", "apiGroup": "authentication.k8s.io"}, responseObject=None)
    dry_run = audited(requestURI="/api/v1/namespaces/shop/secrets?dryRun=All", objectRef={"resource": "secrets"})
    status = audited(objectRef={"resource": "vaultsecrets", "subresource": "status", "name": "db"}, responseObject=None)
    written = [audited(), *others, review, dry_run, status]
    log.write_text("".join(f"{json.dumps(event)}\n" for event in written) + '{"half')

    lease, *rest = calls(log)

    assert lease.lease == LeaseState(7, "pod-1_abc", 15.0)
    assert lease.done - lease.received == 0.5
    assert [(call.resource, call.is_write) for call in rest] == [
        ("tokenreviews", False),
        ("secrets", False),
        ("vaultsecrets/status", True),
    ]
