"""Whether an operator runs, by the Leases that were seen to change."""

from collections.abc import Collection

import pytest

from vaultsync.cli.doctor.findings import Result
from vaultsync.cli.doctor.leader import leader_findings
from vaultsync.policy.leases import Lease


def lease(shard: int = 0, holder: str | None = "pod-a", *, shards: int = 1, **changes: str | frozenset[str]) -> Lease:
    installation = str(changes.get("installation", "vaultsync"))
    namespaces = changes.get("namespaces", frozenset())
    assert isinstance(namespaces, frozenset)
    name = f"{installation}-{shard}"
    return Lease(name, f"uid-{name}", "1", holder, "2026-03-01T12:00:00Z", 0, installation, shards, namespaces)


def found(leases: list[Lease], renewed: Collection[str], namespace: str | None = None) -> list[tuple[Result, str]]:
    lines = leader_findings(leases, renewed, lease_namespace="kube-system", namespace=namespace)
    return [(line.result, line.text) for line in lines]


@pytest.mark.parametrize(
    ("leases", "renewed", "result", "said"),
    [
        pytest.param([lease()], {"vaultsync-0"}, Result.OK, "vaultsync is led by pod-a.", id="alive"),
        pytest.param([lease()], set(), Result.FAILED, "pod-a leads and has not renewed its Lease", id="dead"),
        pytest.param([lease(holder=None)], {"vaultsync-0"}, Result.FAILED, "has no leader", id="released"),
        pytest.param([], set(), Result.FAILED, "There is no Lease of an operator", id="never"),
        pytest.param(
            [lease(0, shards=2), lease(1, "pod-b", shards=2)],
            {"vaultsync-0", "vaultsync-1"},
            Result.OK,
            "is led by pod-a, pod-b.",
            id="two shards",
        ),
        pytest.param(
            [lease(0, shards=2), lease(1, "pod-b", shards=2)],
            {"vaultsync-0"},
            Result.FAILED,
            "pod-b leads and has not renewed",
            id="a dead leader of two",
        ),
        pytest.param(
            [lease(0, shards=2)],
            {"vaultsync-0"},
            Result.UNKNOWN,
            "1 of 2 shards have a leader (pod-a)",
            id="a free shard",
        ),
    ],
)
def test_an_installation_has_a_line(leases: list[Lease], renewed: Collection[str], result: Result, said: str) -> None:
    ((how, text),) = found(leases, renewed)

    assert how is result
    assert said in text


def test_each_installation_has_its_own_line() -> None:
    lines = found([lease(), lease(installation="other")], {"vaultsync-0"})

    assert [result for result, _ in lines] == [Result.FAILED, Result.OK]


def test_an_operator_that_does_not_watch_the_namespace_does_not_serve_it() -> None:
    leases = [lease(namespaces=frozenset({"shop", "billing"}))]

    assert found(leases, {"vaultsync-0"}, "shop") == [(Result.OK, "Installation vaultsync is led by pod-a.")]
    assert found(leases, {"vaultsync-0"}, "other")[1:] == [(Result.FAILED, "No operator watches namespace other.")]
