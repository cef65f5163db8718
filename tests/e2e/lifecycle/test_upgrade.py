"""An upgrade: the operator of the previous release is replaced by this one, which takes over what the other wrote."""

from pathlib import Path
from typing import Any, Final

from tests.e2e.concurrency import scenario
from tests.e2e.harness import LONG_AGO, Harness, entry, eventually, resource_version
from tests.e2e.lifecycle.harness import OperatorHarness
from vaultsync.api import APPLIED_ANNOTATION, OWNER_NAME_LABEL

PREVIOUS: Final = Path(__file__).with_name("vaultsync-0.1.0-py3-none-any.whl")
"""Built from the last commit before the rewrite of the operator's packages; it is imported as it is."""

OF_PREVIOUS: Final = {
    "PYTHONPATH": str(PREVIOUS),
    "VAULTSYNC_PROBES_LISTEN": "",
    "VAULTSYNC_VAULT_HOSTS": "",
    "VAULTSYNC_VAULT_DNS_SUFFIXES": "localhost",
    "VAULTSYNC_SHARDS": "",
    "VAULTSYNC_LEASE_NAMESPACE": "",
    "VAULTSYNC_INSTALLATION": "",
}
"""Without the settings that it does not know."""

RESTART: Final = [{"kind": "Deployment", "name": "web", "minInterval": "10s"}]


def put_all(harness: Harness) -> dict[str, str]:
    """Fill the vault with secrets that did not change just now, and make the workload; return the values by name."""
    names = ("db-password", "shop-user", "shop-color", "api-token")
    values = {name: harness.put_long_ago(name) for name in names}
    harness.vault.set("app-config", '{"host": "db", "port": 5432}', created_on=LONG_AGO)
    harness.run()
    return values


def apply_all(harness: Harness) -> list[str]:
    """Apply VaultSecrets with everything that decides what a target holds; return their names."""
    harness.apply(
        entry("password", previousKey="password.old"),
        entry("token", "api-token"),
        entry("missing", "not-there", optional=True),
        name="entries",
        restart=RESTART,
        target={"template": {"DSN": "postgres://app:{{ password }}@db"}, "labels": {"team": "shop"}},
    )
    harness.apply(name="object", data=[], dataFrom=[{"object": "app-config", "prefix": "db."}])
    harness.apply(name="found", data=[], dataFrom=[{"find": {"names": "shop-*"}}])
    harness.apply(name="retained", onDelete="Retain", onSourceDeleted="Delete", target={"immutable": True})
    return ["entries", "object", "found", "retained"]


def written(harness: Harness, names: list[str]) -> list[Any]:
    """What identifies the targets and the workload as they are."""
    targets = [resource_version(harness.secret(name)) for name in names]
    return [*targets, harness.rollouts()]


@scenario
def test_an_upgrade_reads_no_value_writes_no_target_and_restarts_no_workload(harness: OperatorHarness) -> None:
    values = put_all(harness)
    with harness.operator(environ=OF_PREVIOUS) as previous:
        names = apply_all(harness)
        for name in names:
            harness.await_synced(name)
        polls = harness.calls("list")
        # Whatever was read within a second of its change is read once more.
        eventually(lambda: harness.calls("list") >= polls + 3, "polls of the previous operator")
        assert previous.stop() == 0
    assert '"content"' in harness.secret("entries")["metadata"]["annotations"][APPLIED_ANNOTATION]  # type: ignore[index]
    before, reads = written(harness, names), harness.calls("get")

    with harness.operator() as upgraded:
        eventually(lambda: upgraded.metric("vaultsync_polls_total", result="Synced") >= 3, "polls")
        eventually(lambda: upgraded.metric("vaultsync_reconciles_total", reason="Synced") >= len(names), "reconciles")

        assert harness.calls("get") == reads
        assert written(harness, names) == before
        rotated = harness.put("db-password")
        content = {
            "password": rotated,
            "password.old": values["db-password"],
            "token": values["api-token"],
            "DSN": f"postgres://app:{rotated}@db",
        }
        harness.await_content("entries", **content)
        metadata = harness.secret("entries")["metadata"]  # type: ignore[index]
        assert '"specContent"' in metadata["annotations"][APPLIED_ANNOTATION]
        assert metadata["labels"][OWNER_NAME_LABEL] == "entries"
