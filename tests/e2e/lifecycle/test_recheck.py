"""The recheck: it notices what a poll cannot, such as a pinned version that is disabled or gets another date."""

from datetime import UTC, datetime, timedelta

from tests.e2e.concurrency import scenario
from tests.e2e.harness import entry, resource_version
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.vault_api import set_dates


@scenario
def test_changes_of_a_pinned_version_are_noticed_at_the_recheck_and_its_value_is_kept(harness: OperatorHarness) -> None:
    values = {name: harness.value() for name in ("disabled", "expiring")}
    versions = {name: harness.vault.set(name, value) for name, value in values.items()}
    for name in values:
        harness.put(name)
    with harness.operator(environ={"VAULTSYNC_RECHECK_INTERVAL": "1m"}):
        for name, version in versions.items():
            harness.apply(entry(source=name, version=version), name=name)
            harness.await_content(name, password=values[name])
            harness.await_reason("Synced", name=name)
        written = {name: resource_version(harness.secret(name)) for name in values}
        expires = datetime.now(UTC) + timedelta(days=1)

        harness.vault.disable("disabled", versions["disabled"])
        set_dates(harness.emulator, harness.vault, "expiring", versions["expiring"], expires_on=expires)

        ready = harness.await_reason("SecretDisabled", name="disabled")
        assert ready.status == "False"
        assert harness.await_event("Warning", "SecretDisabled", name="disabled").message == ready.message
        expiring = harness.await_reason("ExpiresSoon", name="expiring", of="Expiring")
        assert harness.await_event("Warning", "ExpiresSoon", name="expiring").message == expiring.message
        assert harness.await_reason("Synced", name="expiring").status == "True"
        assert {name: resource_version(harness.secret(name)) for name in values} == written
        harness.vault.enable("disabled", versions["disabled"])
        harness.await_reason("Synced", name="disabled")
        assert harness.content("disabled") == {"password": values["disabled"].encode()}
