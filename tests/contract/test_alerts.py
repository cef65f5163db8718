"""The alerts of the chart, played to Prometheus' own engine: when each fires, with which words, and no other."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.renders import Manifest, rule_groups
from tests.contract.test_metrics import of_code
from tests.controlplane.helm import Helm
from tests.controlplane.promtool import Promtool, PromtoolFailed
from tests.pages import pages
from vaultsync.adapters.metrics.snapshot import PENDING
from vaultsync.errors import Reason

RUNBOOKS: Final = Path(__file__).parents[2] / "docs" / "runbooks"

INDEX: Final = RUNBOOKS / "README.md"

PARTS: Final = ["Meaning", "Diagnosis", "Mitigation"]

GROUPS: Final = ["vaultsync-levels", "vaultsync-vaultsecrets", "vaultsync-vaults", "vaultsync-operator"]
"""The least favorable order: an alert sees those of the other groups as they were at the evaluation before."""

DAY: Final = 24 * 60
VAULT: Final = "https://shop.vault.azure.net"
PASSWORD: Final = {"namespace": "shop", "name": "db", "key": "password"}
OURS: Final = {"job": "vaultsync", "namespace": "vaultsync-system"}
WHERE: Final = {**OURS, "vault": VAULT}
EXPIRES: Final = "The secret behind key password of VaultSecret shop/db expires in"

World = dict[str, str]
"""Metrics with labels, and their values, one a minute."""


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires, with its summary."""

    alert: str
    says: str
    severity: str = "warning"
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A world, and all alerts that fire in the end."""

    world: World
    fires: tuple[Firing, ...] = ()
    minutes: int = 20


def series(metric: str, values: str, **labels: str) -> World:
    """One series; those about the operator and its vaults have the labels of the installation."""
    named = {**({} if "namespace" in labels else OURS), **labels}
    inner = ",".join(f'{name}="{value}"' for name, value in named.items())
    return {f"vaultsync_{metric}{{{inner}}}": values}


def together(*worlds: World) -> World:
    """All series of several worlds."""
    return {name: values for world in worlds for name, values in world.items()}


def replicas(**metrics: tuple[str, ...]) -> World:
    """A world in which each pod of an installation has a value of each metric."""
    return together(
        *(
            series(name, values, pod=pod)
            for name, of_pods in metrics.items()
            for pod, values in zip("ab", of_pods, strict=True)
        )
    )


def failing(reason: str, values: str, *namespaces: str, vault: str = VAULT, **labels: str) -> World:
    """VaultSecrets of namespaces that have a reason."""
    return together(
        *(
            series("vaultsecrets", values, namespace=name, vault=vault, reason=reason, pod="a", **labels)
            for name in namespaces or ("shop",)
        )
    )


def expiring(minutes_left: float, minutes: int = 20, *, keys: int = 1) -> World:
    """A world in which secrets expire so much later than the end."""
    moment = f"{60 * (minutes + minutes_left):g}x{minutes}"
    names = [PASSWORD["key"], *(f"key-{number}" for number in range(1, keys))]
    return together(
        *(series("vaultsecret_expiry_timestamp_seconds", moment, **{**PASSWORD, "key": one}) for one in names)
    )


def not_synced(reason: str, number: int = 3, namespace: str = "shop", vault: str = VAULT, **labels: str) -> Firing:
    """The alert about VaultSecrets of a namespace."""
    says = f"VaultSecrets in {namespace} that are not in sync: {number} ({reason})"
    of_vault = {"vault": vault} if vault else {}
    return Firing("NotSynced", says, labels={"namespace": namespace, "reason": reason, **of_vault, **labels})


def unreachable(vault: str = VAULT, **labels: str) -> Firing:
    """The alert about a vault."""
    return Firing("VaultUnreachable", f"{vault} cannot be polled", "critical", {**OURS, "vault": vault, **labels})


def vault_named(number: int) -> str:
    """The URL of one of many vaults."""
    return f"https://v{number}.vault.azure.net"


MANY: Final = [f"team-{number}" for number in range(40)]
NO_VAULTS: Final = Firing("AllVaultsUnreachable", "None of the 2 vaults of vaultsync can be polled", "critical", OURS)
NO_LOGIN: Final = Firing(
    "LoginRefused",
    "An identity of vaultsync gets no token from the identity provider",
    "critical",
    {**OURS, "reason": "LoginFailed"},
)
NO_LEADER: Final = Firing("NoLeader", "Shards of vaultsync without a leader: 1", "critical", OURS)
ABSENT: Final = Firing("OperatorAbsent", "vaultsync is absent", "critical")
FEW_EXPIRE: Final = Firing("Expiring", f"{EXPIRES} 10 days", labels=PASSWORD)
CONFLICTS: Final = "VaultSecrets in shop whose target Secret has another owner:"
RUNNING: Final = series("build_info", "1x400", version="1")
TWO_DOWN: Final = together(
    series("vault_up", "0x60", vault=vault_named(1)), series("vault_up", "1x20 0x40", vault=vault_named(2))
)
LOGGED_OUT: Final = together(
    series("logins_total", "0+2x40", result="refused"),
    *(series("vault_up", "0x40", vault=vault_named(number)) for number in (1, 2)),
    *(
        series("polls_total", "0+2x40", vault=vault_named(number), mode="list", result="LoginFailed")
        for number in (1, 2)
    ),
    failing("LoginFailed", "3x40", *MANY, vault=vault_named(1)),
)

CASES: Final = {
    # The operator
    "no operator": Case({"up": "1x20"}, (ABSENT,)),
    "an operator that restarts": Case(series("build_info", "1x16 _x3 1", version="1")),
    "an operator that has ended": Case(
        series("build_info", "1x10 _x10", version="1"),
        (Firing("OperatorAbsent", "vaultsync is absent", "critical", {"namespace": "vaultsync-system"}),),
    ),
    "an operator that has ended in one of two clusters": Case(
        together(
            series("build_info", "1x10 _x30", version="1", cluster="blue"),
            series("build_info", "1x40", version="1", cluster="green"),
        ),
        (
            Firing(
                "OperatorAbsent",
                "vaultsync is absent",
                "critical",
                {"namespace": "vaultsync-system", "cluster": "blue"},
            ),
        ),
        minutes=40,
    ),
    "no pod leads": Case(replicas(shards=("1x20", "1x20"), shards_held=("1x10 0x10", "0x20")), (NO_LEADER,)),
    "one of three shards has no leader": Case(
        replicas(shards=("3x20", "3x20"), shards_held=("1x20", "1x20")), (NO_LEADER,)
    ),
    "a takeover": Case(replicas(shards=("1x10 _x10", "1x20"), shards_held=("1x10 _x10", "0x11 1x9"))),
    "no leader in one of two clusters": Case(
        together(
            series("shards", "1x20", cluster="blue", pod="a"),
            series("shards_held", "0x20", cluster="blue", pod="a"),
            series("shards", "1x20", cluster="green", pod="a"),
            series("shards_held", "1x20", cluster="green", pod="a"),
        ),
        (Firing("NoLeader", NO_LEADER.says, "critical", {**OURS, "cluster": "blue"}),),
    ),
    "another installation": Case(
        replicas(shards=("1x20", "1x20"), shards_held=("0x20", "0x20"), election_conflict=("0x10 1x10", "1x20")),
        (Firing("ElectionConflict", "Another installation keeps vaultsync from leading", "critical", OURS),),
    ),
    "an upgrade that changes the number of shards": Case(
        replicas(election_conflict=("0x20", "0x17 1 0x2")),
    ),
    "a pod that takes no shard": Case(
        replicas(shards=("3x20", "3x20"), shards_held=("3x20", "0x20")),
        (Firing("ShardsUnbalanced", "A pod of vaultsync leads 3 shards, more than its share", labels=OURS),),
    ),
    "three shards of two pods": Case(replicas(shards=("3x20", "3x20"), shards_held=("2x20", "1x20"))),
    "a leader and who stands by": Case(replicas(shards=("1x20", "1x20"), shards_held=("1x20", "0x20"))),
    "leaders that change all the time": Case(
        replicas(shards=("2x120", "2x120"), leader_transitions_total=("0+0.25x120", "0+0.25x120")),
        (Firing("LeaderChanges", "Each shard of vaultsync was taken or lost 15 times in the last hour", labels=OURS),),
        minutes=120,
    ),
    "a rollout": Case(
        replicas(shards=("1x120", "1x120"), leader_transitions_total=("1x80 2x40", "0x80 2x40")), minutes=120
    ),
    "namespaces that the operator may not watch": Case(
        together(
            *(
                series("namespace_denied", "1x20", namespace=name, resource=resource, job="vaultsync")
                for name in MANY
                for resource in ("secrets", "vaultsecrets")
            )
        ),
        (
            Firing(
                "NamespaceDenied", "Namespaces that vaultsync may not list and watch: 40", labels={"job": "vaultsync"}
            ),
        ),
    ),
    "a queue that stands still": Case(
        replicas(queue_oldest_seconds=("0+60x20", "0+30x20")),
        (Firing("QueueStuck", "A VaultSecret has waited in the queue for 20m 0s", labels=OURS),),
    ),
    "a queue that flows": Case(series("queue_oldest_seconds", "30x20")),
    "a bug, with its VaultSecrets": Case(
        together(series("reconciles_total", "0x15 3x5", reason="InternalError"), failing("InternalError", "3x20")),
        (
            Firing(
                "InternalError",
                "vaultsync has failed with an internal error 3 times in the last 15 minutes",
                labels={**OURS, "reason": "InternalError"},
            ),
        ),
    ),
    "no bug": Case(series("reconciles_total", "3x20", reason="InternalError")),
    "statuses that the API server refuses": Case(
        together(
            series("status_writes_total", "0x10 0+2x30", result="failed"),
            series("status_writes_total", "0+1x40", result="written"),
        ),
        (
            Firing(
                "StatusNotWritten",
                "vaultsync cannot write the status of VaultSecrets: 30 times in the last 15 minutes",
                labels=OURS,
            ),
        ),
        minutes=40,
    ),
    "statuses that are written at the next attempt": Case(
        together(
            series("status_writes_total", "0+1x40", result="failed"),
            series("status_writes_total", "0+1x40", result="written"),
        ),
        minutes=40,
    ),
    "statuses that could not be written for a while": Case(
        together(
            series("status_writes_total", "0x10 0+2x3 6x30", result="failed"),
            series("status_writes_total", "0x15 9x30", result="written"),
        ),
        minutes=40,
    ),
    # Vaults
    "a vault away for long, with the VaultSecrets of many namespaces": Case(
        together(series("vault_up", "0x40", vault=VAULT), failing("VaultUnreachable", "0x2 3x38", *MANY)),
        (unreachable(),),
        minutes=40,
    ),
    "a vault away now and then": Case(series("vault_up", "0x8 1 0x8 1 0x2", vault=VAULT)),
    "a vault away for one of two leaders": Case(
        together(series("vault_up", "0x20", vault=VAULT, pod="a"), series("vault_up", "1x20", vault=VAULT, pod="b")),
        (unreachable(),),
    ),
    "a vault away in one of two clusters": Case(
        together(
            series("vault_up", "0x40", vault=VAULT, cluster="blue"),
            series("vault_up", "1x40", vault=VAULT, cluster="green"),
            failing("VaultUnreachable", "3x40", cluster="blue"),
            failing("VaultFailed", "3x40", cluster="green"),
        ),
        (unreachable(cluster="blue"), not_synced("VaultFailed", cluster="green")),
        minutes=40,
    ),
    "a vault away, and a typing error of a team": Case(
        together(
            series("vault_up", "0x40", vault=VAULT),
            failing("AccessDenied", "2x40", "shop", "web"),
            failing("SecretNotFound", "3x40"),
        ),
        (unreachable(), not_synced("SecretNotFound")),
        minutes=40,
    ),
    "a vault that can be polled and not read": Case(
        together(series("vault_up", "1x20", vault=VAULT), failing("VaultFailed", "3x20")), (not_synced("VaultFailed"),)
    ),
    "one of two vaults away": Case(TWO_DOWN, (unreachable(vault_named(1)),), minutes=20),
    "the other vault away as well, for a moment": Case(TWO_DOWN, (unreachable(vault_named(1)),), minutes=26),
    "the other vault away as well": Case(TWO_DOWN, (NO_VAULTS,), minutes=60),
    "all vaults away, with the VaultSecrets of many namespaces": Case(
        together(
            *(series("vault_up", "0x40", vault=vault_named(number)) for number in (1, 2)),
            failing("VaultNotFound", "3x40", *MANY, vault=vault_named(1)),
        ),
        (NO_VAULTS,),
        minutes=40,
    ),
    "no login": Case(LOGGED_OUT, (NO_LOGIN,), minutes=40),
    "no login at one of three vaults, and another away": Case(
        together(
            LOGGED_OUT,
            series("vault_up", "1x40", vault=vault_named(3)),
            series("polls_total", "0+2x40", vault=vault_named(2), mode="list", result="VaultUnreachable"),
        ),
        (NO_LOGIN, unreachable(vault_named(2))),
        minutes=40,
    ),
    "no login, and no vault either": Case(
        together(LOGGED_OUT, series("polls_total", "0+2x40", vault=vault_named(2), mode="list", result="VaultFailed")),
        (NO_LOGIN, NO_VAULTS),
        minutes=40,
    ),
    "no login of a tenant for long, and then none of another": Case(
        together(
            series("logins_total", "0+2x60", result="refused"),
            series("vault_up", "0x60", vault=vault_named(1)),
            series("polls_total", "0+2x60", vault=vault_named(1), mode="list", result="LoginFailed"),
            failing("LoginFailed", "3x60", "web", vault=vault_named(1)),
            series("vault_up", "1x30 0x30", vault=vault_named(2)),
            series("polls_total", "0x30 0+2x30", vault=vault_named(2), mode="list", result="LoginFailed"),
            failing("LoginFailed", "0x30 3x30", vault=vault_named(2)),
            *(series("vault_up", "1x60", vault=vault_named(number)) for number in (3, 4)),
        ),
        (unreachable(vault_named(1)), unreachable(vault_named(2))),
        minutes=60,
    ),
    "no login of a tenant at a vault that answers others": Case(
        together(
            series("logins_total", "0+2x40", result="refused"),
            series("vault_up", "1x40", vault=VAULT),
            series("polls_total", "0+2x40", vault=VAULT, mode="list", result="LoginFailed"),
            failing("LoginFailed", "3x40", vault=VAULT),
        ),
        (not_synced("LoginFailed"),),
        minutes=40,
    ),
    "a login that is refused once": Case(series("logins_total", "0x5 1x15", result="refused")),
    "throttled for two minutes in a quarter of an hour": Case(
        series("vault_throttled_seconds_total", "0+8x40", vault=VAULT),
        (Firing("VaultThrottled", f"{VAULT} has throttled vaultsync for 2m 0s of the last 15 minutes", labels=WHERE),),
        minutes=40,
    ),
    "throttled for seconds": Case(series("vault_throttled_seconds_total", "0x20 20x20", vault=VAULT), minutes=40),
    "throttled so much that no poll succeeds": Case(
        together(
            series("vault_throttled_seconds_total", "0+50x40", vault=VAULT),
            series("vault_up", "0x40", vault=VAULT),
            failing("VaultThrottled", "3x40", *MANY),
        ),
        (unreachable(),),
        minutes=40,
    ),
    "most of a vault gone, for many namespaces": Case(
        together(
            series("vault_deletion_brake", "0x5 1x35", vault=VAULT), failing("DeletionHeld", "0x5 3x35", *MANY[:9])
        ),
        (
            Firing(
                "DeletionBrake",
                f"Most secrets that VaultSecrets use from {VAULT} have disappeared within a day",
                "critical",
                {**WHERE, "reason": "DeletionHeld"},
            ),
        ),
        minutes=40,
    ),
    "most of a vault gone and soon back": Case(series("vault_deletion_brake", "0x14 1x3 0x3", vault=VAULT)),
    "a vault of which little is gone": Case(series("vault_deletion_brake", "0x20", vault=VAULT)),
    "rotations that come late": Case(
        series("rotations_late_total", "0x60 4x60", vault=VAULT),
        (
            Firing(
                "RotationsLate",
                f"Rotations in {VAULT} that reached their Secrets late in the last hour: 4",
                labels=WHERE,
            ),
        ),
        minutes=80,
    ),
    "rotations that came late yesterday": Case(series("rotations_late_total", "4x120", vault=VAULT), minutes=120),
    # VaultSecrets
    "a namespace with a thousand VaultSecrets that fail": Case(
        failing("SecretNotFound", "1000x20"), (not_synced("SecretNotFound", 1000),)
    ),
    "VaultSecrets of two teams": Case(
        failing("SecretNotFound", "3x20", "shop", "web"),
        (not_synced("SecretNotFound"), not_synced("SecretNotFound", namespace="web")),
    ),
    "not in sync in each of two clusters": Case(
        together(failing("InvalidSpec", "3x20", cluster="blue"), failing("InvalidSpec", "3x20", cluster="green")),
        (not_synced("InvalidSpec", cluster="blue"), not_synced("InvalidSpec", cluster="green")),
    ),
    "not in sync, with another leader in between": Case(
        together(
            series("vaultsecrets", "3x10 _x10", namespace="shop", vault=VAULT, reason="InvalidSpec", pod="a"),
            series("vaultsecrets", "_x11 3x9", namespace="shop", vault=VAULT, reason="InvalidSpec", pod="b"),
        ),
        (not_synced("InvalidSpec"),),
    ),
    "reasons that take turns": Case(
        together(failing("VaultFailed", "1 1 0 0 " * 5 + "1"), failing("VaultThrottled", "0 0 1 1 " * 5 + "0")),
        (not_synced("VaultFailed", 1), not_synced("VaultThrottled", 1)),
    ),
    "never reconciled": Case(failing("Pending", "3x20"), (not_synced("Pending"),)),
    "not in sync for a moment": Case(failing("SecretNotFound", "0x10 3x10")),
    "in sync or suspended": Case(together(failing("Synced", "3x20"), failing("Suspended", "1x20"))),
    "deleted while it was not in sync": Case(failing("SecretNotFound", "3x9 _x11")),
    "grants of a few namespaces gone": Case(
        failing("NotGranted", "3x20", *MANY[:5], vault=""),
        tuple(not_synced("NotGranted", namespace=name, vault="") for name in MANY[:5]),
    ),
    "a grant of many namespaces gone": Case(
        failing("NotGranted", "3x20", *MANY, vault=""),
        (
            Firing(
                "ManyNamespacesNotSynced",
                "VaultSecrets in 40 namespaces are not in sync for one reason, NotGranted",
                "critical",
                {"reason": "NotGranted"},
            ),
        ),
    ),
    "a grant of many namespaces gone in one of two clusters": Case(
        together(
            failing("NotGranted", "3x20", *MANY, vault="", cluster="blue"),
            failing("NotGranted", "3x20", vault="", cluster="green"),
        ),
        (
            Firing(
                "ManyNamespacesNotSynced",
                "VaultSecrets in 40 namespaces are not in sync for one reason, NotGranted",
                "critical",
                {"reason": "NotGranted", "cluster": "blue"},
            ),
            not_synced("NotGranted", vault="", cluster="green"),
        ),
    ),
    "many teams with typing errors of their own": Case(
        failing("SecretNotFound", "1x20", *MANY[:6]),
        tuple(not_synced("SecretNotFound", 1, namespace=name) for name in MANY[:6]),
    ),
    "Secrets in the way": Case(
        together(failing("TargetConflict", "2x20"), failing("TargetConflict", "1x20", vault=vault_named(1))),
        (Firing("TargetConflict", f"{CONFLICTS} 3", labels={"namespace": "shop", "reason": "TargetConflict"}),),
    ),
    "no Secret in the way": Case(failing("TargetConflict", "0x20")),
    "a fight over a Secret": Case(
        series("targets_written_total", "0+0.2x120", change="healed"),
        (
            Firing(
                "TargetTampered",
                "Secrets were changed or deleted by other writers 12 times in the last hour",
                labels={**OURS, "change": "healed"},
            ),
        ),
        minutes=120,
    ),
    "a Secret deleted once by mistake": Case(
        series("targets_written_total", "0x90 1x30", change="healed"), minutes=120
    ),
    "Deployments that could not be restarted": Case(
        series("restarts_failing", "2x20", namespace="shop", kind="Deployment"),
        (
            Firing(
                "RestartFailed",
                "Workloads in shop that could not be restarted: 2 (Deployment)",
                labels={"namespace": "shop", "kind": "Deployment"},
            ),
        ),
    ),
    "a restart that succeeds at the next attempt": Case(
        series("restarts_failing", "1x5 _x15", namespace="shop", kind="Deployment")
    ),
    "expires in ten days": Case(expiring(10 * DAY), (FEW_EXPIRE,)),
    "expires in two days": Case(expiring(2 * DAY), (Firing("Expiring", f"{EXPIRES} 2.0 days", "critical", PASSWORD),)),
    "expires in three weeks": Case(expiring(21 * DAY)),
    "expires in each of two clusters": Case(
        together(
            *(
                series(
                    "vaultsecret_expiry_timestamp_seconds", f"{10 * DAY * 60 + 1200}x20", **PASSWORD, cluster=cluster
                )
                for cluster in ("blue", "green")
            )
        ),
        tuple(
            Firing("Expiring", FEW_EXPIRE.says, labels={**PASSWORD, "cluster": cluster})
            for cluster in ("blue", "green")
        ),
    ),
    "eleven of a namespace expire in ten days": Case(
        expiring(10 * DAY, keys=11),
        (
            Firing(
                "Expiring",
                "Secrets behind keys of VaultSecrets in shop that expire soon: 11",
                labels={"namespace": "shop"},
            ),
        ),
    ),
    "eleven of a namespace expire in two days": Case(
        expiring(2 * DAY, keys=11),
        (
            Firing(
                "Expiring",
                "Secrets behind keys of VaultSecrets in shop that expire within days: 11",
                "critical",
                {"namespace": "shop"},
            ),
        ),
    ),
    "expired": Case(
        expiring(-10),
        (Firing("Expired", "The secret behind key password of VaultSecret shop/db has expired", "critical", PASSWORD),),
    ),
    "eleven of a namespace have expired": Case(
        expiring(-10, keys=11),
        (
            Firing(
                "Expired",
                "Secrets behind keys of VaultSecrets in shop that have expired: 11",
                "critical",
                {"namespace": "shop"},
            ),
        ),
    ),
}


def alerts_of(found: list[Manifest]) -> list[Manifest]:
    """The alerts of groups of rules."""
    return [rule for group in found for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def rendered(helm: Helm) -> list[Manifest]:
    """The groups of rules as they come."""
    return rule_groups(helm)


@pytest.fixture(scope="module")
def alerts(rendered: list[Manifest]) -> list[Manifest]:
    """The alerts as they come."""
    return alerts_of(rendered)


@pytest.fixture(scope="module")
def nameless(helm: Helm) -> list[Manifest]:
    """The alerts where there are no metrics that name VaultSecrets."""
    return alerts_of(rule_groups(helm, settings={"metricsPerVaultsecret": False}))


def play(cases: Mapping[str, Case], rules: list[Manifest], promtool: Promtool, folder: Path) -> None:
    """Check with promtool that the alerts of each case fire, and no others; it names the cases that fail.

    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
    """
    played = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "group_eval_order": GROUPS,
        "tests": [_played(name, case, alerts_of(rules)) for name, case in cases.items()],
    }
    (folder / "rules.yaml").write_text(json.dumps({"groups": rules}))
    (folder / "test.yaml").write_text(json.dumps(played))
    promtool("test", "rules", folder / "test.yaml")


def _played(name: str, case: Case, alerts: list[Manifest]) -> dict[str, Any]:
    """The case in promtool's words."""
    world = case.world if any("build_info" in one or one == "up" for one in case.world) else {**RUNNING, **case.world}
    expected: dict[str, list[dict[str, Any]]] = {alert["alert"]: [] for alert in alerts}
    for firing in case.fires:
        labels = {"severity": firing.severity, **firing.labels}
        annotations = _annotations(firing, alerts)
        expected[f"Vaultsync{firing.alert}"].append({"exp_labels": labels, "exp_annotations": annotations})
    checks = [
        {"eval_time": f"{case.minutes}m", "alertname": one, "exp_alerts": found} for one, found in expected.items()
    ]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in world.items()],
        "alert_rule_test": checks,
    }


def _annotations(firing: Firing, alerts: list[Manifest]) -> dict[str, str]:
    """The annotations of an alert that fires; of several with its name, that which names a VaultSecret or does not."""
    texts = next(
        one["annotations"]
        for one in alerts
        if one["alert"] == f"Vaultsync{firing.alert}"
        and one["labels"]["severity"] == firing.severity
        and ("$labels.name " in one["annotations"]["summary"]) == ("name" in firing.labels)
    )
    description = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: firing.labels[found[1]], texts["description"])
    return {**texts, "summary": firing.says, "description": description}


def test_one_cause_is_one_alert(rendered: list[Manifest], promtool: Promtool, tmp_path: Path) -> None:
    """All cases in one process: promtool takes longer to start than to play one."""
    play(CASES, rendered, promtool, tmp_path)


def test_an_alert_that_does_not_fire_when_it_must_would_be_seen(
    rendered: list[Manifest], promtool: Promtool, tmp_path: Path
) -> None:
    silent = Case(failing("Synced", "3x20"), (not_synced("SecretNotFound"),))

    with pytest.raises(PromtoolFailed, match=r"(?s)FAILED.*name: silent"):
        play({"silent": silent}, rendered, promtool, tmp_path)


def test_an_alert_that_fires_beside_another_would_be_seen(
    rendered: list[Manifest], promtool: Promtool, tmp_path: Path
) -> None:
    noisy = Case(
        together(series("vault_up", "0x40", vault=VAULT), failing("SecretNotFound", "3x40")), (unreachable(),), 40
    )

    with pytest.raises(PromtoolFailed, match=r"(?s)FAILED.*name: noisy"):
        play({"noisy": noisy}, rendered, promtool, tmp_path)


def test_without_the_broader_alert_the_narrower_ones_fire(helm: Helm, promtool: Promtool, tmp_path: Path) -> None:
    off = {"enabled": True, "runbooks": "https://docs.example.com", "alerts": {"vaultUnreachable": {"enabled": False}}}
    world = together(series("vault_up", "0x40", vault=VAULT), failing("VaultUnreachable", "3x40"))

    play(
        {"narrower": Case(world, (not_synced("VaultUnreachable"),), 40)},
        rule_groups(helm, prometheusRule=off),
        promtool,
        tmp_path,
    )


def test_each_alert_is_played(alerts: list[Manifest]) -> None:
    played = {
        (f"Vaultsync{one.alert}", one.severity, "name" in one.labels) for case in CASES.values() for one in case.fires
    }

    assert played == {
        (one["alert"], one["labels"]["severity"], "$labels.name " in one["annotations"]["summary"]) for one in alerts
    }


def test_rules_are_about_metrics_and_reasons_that_there_are(rendered: list[Manifest]) -> None:
    expressions = [rule["expr"] for group in rendered for rule in group["rules"]]
    used = {name.removesuffix("_bucket") for one in expressions for name in re.findall(r"\bvaultsync_\w+", one)}
    recorded = {rule["record"].split(":")[1] for group in rendered for rule in group["rules"] if "record" in rule}
    named = {
        name for one in expressions for text in re.findall(r'reason!?[=~]+"([^"]+)"', one) for name in text.split("|")
    }

    assert used - {row.name for row in of_code()} - recorded == set()
    assert named - {*Reason, PENDING, "Secret.+"} == set()


def test_an_alert_yields_only_to_alerts_that_there_are(rendered: list[Manifest], alerts: list[Manifest]) -> None:
    yields = {
        name
        for group in rendered
        for rule in group["rules"]
        for text in re.findall(r'alertname=~?"([^"]+)"', rule["expr"])
        for name in text.split("|")
    }

    assert yields
    assert yields <= {alert["alert"] for alert in alerts}


def test_without_metrics_that_name_vaultsecrets_no_alert_needs_them(nameless: list[Manifest]) -> None:
    assert [alert["alert"] for alert in nameless if "vaultsync_vaultsecret_" in alert["expr"]] == []


@pytest.mark.parametrize("value", ["notSynced", "expiring"])
@pytest.mark.parametrize("off", [{"enabled": False}, None], ids=["enabled", "null"])
def test_an_alert_can_be_turned_off(
    value: str, off: dict[str, bool] | None, alerts: list[Manifest], helm: Helm
) -> None:
    fewer = alerts_of(rule_groups(helm, prometheusRule={"enabled": True, "alerts": {value: off}}))

    names = {alert["alert"] for alert in fewer}
    assert {alert["alert"] for alert in alerts} - names == {f"Vaultsync{value[0].upper()}{value[1:]}"}


# The runbooks


def test_each_alert_has_a_runbook_to_which_it_leads(alerts: list[Manifest]) -> None:
    links = {alert["annotations"]["runbook_url"] for alert in alerts}

    assert {f"https://docs.example.com/{path.name}" for path in RUNBOOKS.glob("Vaultsync*.md")} == links


def test_pages_name_alerts_that_there_are() -> None:
    present = [page for page in pages() if page.name != "CHANGELOG.md"]
    named = {(page.name, name) for page in present for name in re.findall(r"\bVaultsync[A-Z]\w+", page.read_text())}

    there = {path.stem for path in RUNBOOKS.glob("Vaultsync*.md")}
    assert {one for one in named if one[1] not in there} == set()


def test_each_runbook_has_meaning_diagnosis_and_mitigation() -> None:
    parts = {path.name: re.findall(r"^## (.*)", path.read_text(), re.MULTILINE) for path in RUNBOOKS.glob("V*.md")}

    assert {name: found for name, found in parts.items() if found != PARTS} == {}


def test_runbooks_read_the_logs_of_all_pods() -> None:
    """`kubectl logs deployment/…` chooses one, such as one that stands by."""
    commands = {
        (path.name, command)
        for path in RUNBOOKS.glob("*.md")
        for command in re.findall(r"kubectl logs[^\n]*", path.read_text())
    }

    assert {one for one in commands if "--selector" not in one[1] or "--tail=-1" not in one[1]} == set()


def test_the_list_of_runbooks_names_each_with_its_labels() -> None:
    rows = re.findall(r"^\| \[(Vaultsync\w+)\]\(\1\.md\) \| .* \| (.*) \|$", INDEX.read_text(), re.MULTILINE)

    listed = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert listed.keys() == {path.stem for path in RUNBOOKS.glob("Vaultsync*.md")}
    labels: dict[str, set[str]] = {name: set() for name in listed}
    for firing in (one for case in CASES.values() for one in case.fires):
        labels[f"Vaultsync{firing.alert}"] |= firing.labels.keys() - {"cluster"}
    assert listed == labels


def test_inhibition_rules_are_about_alerts_and_labels_that_there_are() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", INDEX.read_text(), re.DOTALL)]
    labels: dict[str, set[str]] = {}
    for firing in (one for case in CASES.values() for one in case.fires):
        labels.setdefault(f"Vaultsync{firing.alert}", {"cluster"}).update(firing.labels)

    first, *_ = [block["inhibit_rules"] for block in blocks if "inhibit_rules" in block]

    for rule in first:
        texts = [re.split(" =~? ", text) for side in ("source_matchers", "target_matchers") for text in rule[side]]
        names = [name for label, text in texts if label == "alertname" for name in text.strip('"').split("|")]
        assert len(names) > 1
        assert [name for name in names if not set(rule["equal"]) <= labels[name]] == []
        reasons = {name for label, text in texts if label == "reason" for name in text.strip('"').split("|")}
        assert reasons <= {*Reason, PENDING}


def test_a_group_of_rules_is_as_small_as_azure_wants_it(rendered: list[Manifest]) -> None:
    """The schema of a rule group is in https://github.com/Azure/prometheus-collector, under az-prom-rules-converter."""
    assert max(len(group["rules"]) for group in rendered) <= 20


def test_runbooks_ask_for_metrics_that_there_are() -> None:
    names = {name for path in RUNBOOKS.glob("*.md") for name in re.findall(r"\bvaultsync_\w+", path.read_text())}
    suffixes = ("_bucket", "_sum", "_count")

    unknown = names - {row.name for row in of_code()}

    assert {name for name in unknown if not name.endswith(suffixes)} == set()


def test_every_query_of_the_runbooks_can_be_read(promtool: Promtool, tmp_path: Path) -> None:
    blocks = [
        block
        for path in RUNBOOKS.glob("*.md")
        for block in re.findall(r"```promql\n(.*?)```", path.read_text(), re.DOTALL)
    ]
    queries = [line for block in blocks for line in block.splitlines()]
    recorded = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": recorded}]}))

    assert f"{len(queries)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")
