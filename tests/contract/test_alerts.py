"""The alerts of the chart, played to Prometheus' own engine: when each fires, what it then says, when it does not."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.renders import Manifest, render, the
from tests.contract.test_metrics import of_code
from tests.controlplane.helm import Helm
from tests.controlplane.promtool import Promtool, PromtoolFailed

RUNBOOKS: Final = Path(__file__).parents[2] / "docs" / "runbooks"

PARTS: Final = ["Meaning", "Diagnosis", "Mitigation"]

DAY: Final = 24 * 60
DB: Final = '{namespace="shop",name="db"}'
PASSWORD: Final = '{namespace="shop",name="db",key="password"}'
VAULT: Final = '{vault="https://shop.vault.azure.net"}'


@dataclass(frozen=True, slots=True)
class Case:
    """An alert, a world as `metric{labels}` → a value a minute, and what is to be seen in the end.

    `says` is the summary of the alert that fires then; empty if none does.
    """

    alert: str
    series: dict[str, str]
    says: str = ""
    severity: str = "warning"
    labels: dict[str, str] = field(default_factory=dict)
    minutes: int = 20
    named: bool = True
    """Whether there are metrics that name VaultSecrets."""


def expiring(minutes_left: float, minutes: int = 20) -> dict[str, str]:
    """A world in which a secret expires so much later than the end."""
    moment = 60 * (minutes + minutes_left)
    return {f"vaultsync_vaultsecret_expiry_timestamp_seconds{PASSWORD}": f"{moment:g}x{minutes}"}


WHO: Final = {"namespace": "shop", "name": "db"}
KEY: Final = {**WHO, "key": "password"}
WHERE: Final = {"vault": "https://shop.vault.azure.net"}
HEALED: Final = 'vaultsync_targets_written_total{change="healed"}'
CONFLICTS: Final = 'vaultsync_vaultsecrets{reason="TargetConflict"}'
BROKEN: Final = 'vaultsync_reconciles_total{reason="InternalError"}'
EXPIRES: Final = "The secret behind key password of VaultSecret shop/db expires in"

OURS: Final = {"job": "vaultsync", "namespace": "vaultsync-system"}


def on_pod(pod: str, **labels: str) -> str:
    """The labels of a sample of a pod, as Prometheus has them."""
    named = {**labels, "pod": pod, "instance": f"{pod}:8080"}
    return "{" + ",".join(f'{name}="{value}"' for name, value in named.items()) + "}"


def replicas(**series: tuple[str, ...]) -> dict[str, str]:
    """A world in which each pod of an installation has a value of each metric."""
    return {
        f"{name}{on_pod(pod, **OURS)}": values
        for name, of_pods in series.items()
        for pod, values in zip("ab", of_pods, strict=True)
    }


CASES: Final = {
    "not in sync for long": Case(
        "NotSynced",
        {f"vaultsync_vaultsecret_ready{DB}": "0x20"},
        "VaultSecret shop/db is not in sync",
        labels=WHO,
    ),
    "not in sync for a moment": Case("NotSynced", {f"vaultsync_vaultsecret_ready{DB}": "1x10 0x10"}),
    "in sync": Case("NotSynced", {f"vaultsync_vaultsecret_ready{DB}": "1x20"}),
    "deleted while it was not in sync": Case("NotSynced", {f"vaultsync_vaultsecret_ready{DB}": "0x14 _x6"}),
    "not in sync, without names": Case(
        "NotSynced",
        {'vaultsync_vaultsecrets{reason="AccessDenied"}': "3x20"},
        "3 VaultSecrets are not in sync: AccessDenied",
        labels={"reason": "AccessDenied"},
        named=False,
    ),
    "in sync or suspended, without names": Case(
        "NotSynced",
        {
            'vaultsync_vaultsecrets{reason="Synced"}': "3x20",
            'vaultsync_vaultsecrets{reason="Suspended"}': "1x20",
            'vaultsync_vaultsecrets{reason="AccessDenied"}': "0x20",
        },
        named=False,
    ),
    "stale": Case(
        "Stale",
        {f"vaultsync_vaultsecret_stale{DB}": "1x20"},
        "The Secret of VaultSecret shop/db may be out of date",
        labels=WHO,
    ),
    "stale for a moment": Case("Stale", {f"vaultsync_vaultsecret_stale{DB}": "0x17 1x3"}),
    "expires in ten days": Case("Expiring", expiring(10 * DAY), f"{EXPIRES} 10 days", labels=KEY),
    "expires in two days": Case("Expiring", expiring(2 * DAY), f"{EXPIRES} 2.0 days", "critical", KEY),
    "expires in three weeks": Case("Expiring", expiring(21 * DAY)),
    "expired, which is another alert": Case("Expiring", expiring(-10)),
    "expired": Case(
        "Expired",
        expiring(-10),
        "The secret behind key password of VaultSecret shop/db has expired",
        "critical",
        KEY,
    ),
    "expires in a minute": Case("Expired", expiring(1)),
    "a vault away for long": Case(
        "VaultUnreachable",
        {f"vaultsync_vault_up{VAULT}": "0x20"},
        "https://shop.vault.azure.net cannot be polled",
        "critical",
        WHERE,
    ),
    "a vault away now and then": Case("VaultUnreachable", {f"vaultsync_vault_up{VAULT}": "0x8 1 0x8 1 0x2"}),
    "throttled for two minutes in a quarter of an hour": Case(
        "VaultThrottled",
        {f"vaultsync_vault_throttled_seconds_total{VAULT}": "0+8x40"},
        "https://shop.vault.azure.net has throttled vaultsync for 2m 0s of the last 15 minutes",
        labels=WHERE,
        minutes=40,
    ),
    "throttled for seconds": Case(
        "VaultThrottled", {f"vaultsync_vault_throttled_seconds_total{VAULT}": "0x20 20x20"}, minutes=40
    ),
    "a Secret in the way": Case(
        "TargetConflict",
        {CONFLICTS: "2x20"},
        "2 VaultSecrets have a target Secret with another owner",
        labels={"reason": "TargetConflict"},
    ),
    "no Secret in the way": Case("TargetConflict", {CONFLICTS: "0x20"}),
    "a fight over a Secret": Case(
        "TargetTampered",
        {HEALED: "0+0.2x120"},
        "Secrets were changed or deleted by other writers 12 times in the last hour",
        labels={"change": "healed"},
        minutes=120,
    ),
    "a Secret deleted once by mistake": Case("TargetTampered", {HEALED: "0x90 1x30"}, minutes=120),
    "most of a vault gone": Case(
        "DeletionBrake",
        {f"vaultsync_vault_deletion_brake{VAULT}": "0x5 1x15"},
        "Most secrets that VaultSecrets use from https://shop.vault.azure.net have disappeared within a day",
        "critical",
        WHERE,
    ),
    "most of a vault gone and soon back": Case(
        "DeletionBrake", {f"vaultsync_vault_deletion_brake{VAULT}": "0x14 1x3 0x3"}
    ),
    "a vault of which little is gone": Case("DeletionBrake", {f"vaultsync_vault_deletion_brake{VAULT}": "0x20"}),
    "no operator": Case("OperatorAbsent", {"up": "1x20"}, "vaultsync is absent", "critical"),
    "an operator that restarts": Case("OperatorAbsent", {'vaultsync_build_info{version="1"}': "1x16 _x3 1"}),
    "no pod leads": Case(
        "NoLeader",
        replicas(vaultsync_shards=("1x20", "1x20"), vaultsync_shards_held=("1x10 0x10", "0x20")),
        "Shards of vaultsync without a leader: 1",
        "critical",
        OURS,
    ),
    "one of three shards has no leader": Case(
        "NoLeader",
        replicas(vaultsync_shards=("3x20", "3x20"), vaultsync_shards_held=("1x20", "1x20")),
        "Shards of vaultsync without a leader: 1",
        "critical",
        OURS,
    ),
    "a takeover": Case(
        "NoLeader",
        replicas(vaultsync_shards=("1x10 _x10", "1x20"), vaultsync_shards_held=("1x10 _x10", "0x11 1x9")),
    ),
    "no pod leads beside another installation": Case(
        "NoLeader",
        replicas(
            vaultsync_shards=("1x20", "1x20"),
            vaultsync_shards_held=("0x20", "0x20"),
            vaultsync_election_conflict=("1x20", "1x20"),
        ),
    ),
    "another installation": Case(
        "ElectionConflict",
        replicas(vaultsync_election_conflict=("0x10 1x10", "1x20")),
        "Another installation keeps vaultsync from leading",
        "critical",
        OURS,
    ),
    "an upgrade that changes the number of shards": Case(
        "ElectionConflict", replicas(vaultsync_election_conflict=("0x20", "0x17 1 0x2"))
    ),
    "a pod that takes no shard": Case(
        "ShardsUnbalanced",
        replicas(vaultsync_shards=("3x20", "3x20"), vaultsync_shards_held=("3x20", "0x20")),
        "A pod of vaultsync leads 3 shards, more than its share",
        labels=OURS,
    ),
    "three shards of two pods": Case(
        "ShardsUnbalanced",
        replicas(vaultsync_shards=("3x20", "3x20"), vaultsync_shards_held=("2x20", "1x20")),
    ),
    "a leader and who stands by": Case(
        "ShardsUnbalanced",
        replicas(vaultsync_shards=("1x20", "1x20"), vaultsync_shards_held=("1x20", "0x20")),
    ),
    "leaders that change all the time": Case(
        "LeaderChanges",
        replicas(
            vaultsync_shards=("2x120", "2x120"),
            vaultsync_leader_transitions_total=("0+0.25x120", "0+0.25x120"),
        ),
        "Each shard of vaultsync was taken or lost 15 times in the last hour",
        labels=OURS,
        minutes=120,
    ),
    "a rollout": Case(
        "LeaderChanges",
        replicas(
            vaultsync_shards=("1x120", "1x120"),
            vaultsync_leader_transitions_total=("1x80 2x40", "0x80 2x40"),
        ),
        minutes=120,
    ),
    "not in sync, with another leader in between": Case(
        "NotSynced",
        {
            f"vaultsync_vaultsecret_ready{on_pod('a', **WHO)}": "0x10 _x10",
            f"vaultsync_vaultsecret_ready{on_pod('b', **WHO)}": "_x11 0x9",
        },
        "VaultSecret shop/db is not in sync",
        labels=WHO,
    ),
    "a vault away for one of two leaders": Case(
        "VaultUnreachable",
        {
            f"vaultsync_vault_up{on_pod('a', **WHERE)}": "0x20",
            f"vaultsync_vault_up{on_pod('b', **WHERE)}": "1x20",
        },
        "https://shop.vault.azure.net cannot be polled",
        "critical",
        WHERE,
    ),
    "a few Secrets in the way in each of two shards": Case(
        "TargetConflict",
        {
            f"vaultsync_vaultsecrets{on_pod('a', reason='TargetConflict')}": "2x20",
            f"vaultsync_vaultsecrets{on_pod('b', reason='TargetConflict')}": "1x20",
        },
        "3 VaultSecrets have a target Secret with another owner",
        labels={"reason": "TargetConflict"},
    ),
    "a queue that stands still": Case(
        "QueueStuck",
        {"vaultsync_queue_oldest_seconds": "0+60x20"},
        "A VaultSecret has waited in the queue for 20m 0s",
    ),
    "a queue that stands still for each of two leaders": Case(
        "QueueStuck",
        replicas(vaultsync_queue_oldest_seconds=("0+60x20", "0+30x20")),
        "A VaultSecret has waited in the queue for 20m 0s",
        labels=OURS,
    ),
    "a queue that flows": Case("QueueStuck", {"vaultsync_queue_oldest_seconds": "30x20"}),
    "a bug": Case(
        "InternalError",
        {BROKEN: "0x15 3x5"},
        "vaultsync has failed with an internal error 3 times in the last 15 minutes",
        labels={"reason": "InternalError"},
    ),
    "no bug": Case("InternalError", {BROKEN: "3x20"}),
}


def rules(helm: Helm, **values: object) -> list[Manifest]:
    """The alerts as the chart renders them."""
    wanted = {"prometheusRule": {"enabled": True, "runbooks": "https://docs.example.com"}, **values}
    rendered = render(helm, "--api-versions", "monitoring.coreos.com/v1", values=wanted)
    (group,) = the("PrometheusRule", rendered)["spec"]["groups"]
    found: list[Manifest] = group["rules"]
    return found


@pytest.fixture(scope="module")
def alerts(helm: Helm) -> list[Manifest]:
    """The alerts as they come."""
    return rules(helm)


@pytest.fixture(scope="module")
def nameless(helm: Helm) -> list[Manifest]:
    """The alerts where there are no metrics that name VaultSecrets."""
    return rules(helm, settings={"metricsPerVaultsecret": False})


def play(case: Case, alerts: list[Manifest], promtool: Promtool, folder: Path) -> None:
    """Check with promtool that the alerts of the case fire."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "vaultsync", "rules": alerts}]}))
    (folder / "test.yaml").write_text(yaml.safe_dump(_played(case, alerts)))
    promtool("test", "rules", folder / "test.yaml")


def _played(case: Case, alerts: list[Manifest]) -> dict[str, Any]:
    """The case in promtool's words.

    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
    """
    name = f"Vaultsync{case.alert}"
    texts = next(alert["annotations"] for alert in alerts if alert["alert"] == name)
    firing = {
        "exp_labels": {"severity": case.severity, **case.labels},
        "exp_annotations": {**texts, "summary": case.says},
    }
    check = {"eval_time": f"{case.minutes}m", "alertname": name, "exp_alerts": [firing] if case.says else []}
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "alert_rule_test": [check],
            }
        ],
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_alert_fires_when_it_must_and_only_then(
    case: Case, alerts: list[Manifest], nameless: list[Manifest], promtool: Promtool, tmp_path: Path
) -> None:
    play(case, alerts if case.named else nameless, promtool, tmp_path)


def test_an_alert_that_does_not_fire_when_it_must_would_be_seen(
    alerts: list[Manifest], promtool: Promtool, tmp_path: Path
) -> None:
    silent = Case("NotSynced", {f"vaultsync_vaultsecret_ready{DB}": "1x20"}, "VaultSecret shop/db is not in sync")

    with pytest.raises(PromtoolFailed, match="FAILED"):
        play(silent, alerts, promtool, tmp_path)


def test_each_alert_is_played_both_ways(alerts: list[Manifest]) -> None:
    played = {(f"Vaultsync{case.alert}", bool(case.says)) for case in CASES.values()}

    assert played == {(alert["alert"], fires) for alert in alerts for fires in (True, False)}


def test_alerts_are_about_metrics_that_there_are(alerts: list[Manifest], nameless: list[Manifest]) -> None:
    used = {name for alert in alerts + nameless for name in re.findall(r"vaultsync_\w+", alert["expr"])}

    assert used - {row.name for row in of_code()} == set()


def test_without_metrics_that_name_vaultsecrets_no_alert_needs_them(nameless: list[Manifest]) -> None:
    assert [alert["alert"] for alert in nameless if "vaultsync_vaultsecret_" in alert["expr"]] == []


@pytest.mark.parametrize("value", ["notSynced", "expiring"])
def test_an_alert_can_be_turned_off(value: str, alerts: list[Manifest], helm: Helm) -> None:
    fewer = rules(helm, prometheusRule={"enabled": True, "alerts": {value: {"enabled": False}}})

    names = {alert["alert"] for alert in fewer}
    assert {alert["alert"] for alert in alerts} - names == {f"Vaultsync{value[0].upper()}{value[1:]}"}


# The runbooks


def test_each_alert_has_a_runbook_to_which_it_leads(alerts: list[Manifest]) -> None:
    links = {alert["annotations"]["runbook_url"] for alert in alerts}

    assert {f"https://docs.example.com/{path.name}" for path in RUNBOOKS.glob("Vaultsync*.md")} == links


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


def test_the_list_of_runbooks_names_each() -> None:
    linked = set(re.findall(r"\((Vaultsync\w+\.md)\)", (RUNBOOKS / "README.md").read_text()))

    assert linked == {path.name for path in RUNBOOKS.glob("Vaultsync*.md")}


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
