"""Restarts of the operator: what happens while none runs, when one starts again, and when two run at once."""

import signal

from tests.e2e.concurrency import scenario
from tests.e2e.harness import MARK, eventually, resource_version
from tests.e2e.lifecycle.harness import OperatorHarness
from vaultsync.api import ADOPT_BY_ANNOTATION, OWNER_UID_LABEL, PLURAL


@scenario
def test_a_restarted_operator_reads_no_value_and_writes_nothing(harness: OperatorHarness) -> None:
    names = [f"db-{number}" for number in range(10)]
    harness.put_long_ago()
    with harness.operator() as first:
        for name in names:
            harness.apply(name=name)
        for name in names:
            harness.await_synced(name)
            harness.await_event_counts(name, Created=1)
        assert first.stop() == 0
    reads = harness.calls("get")
    before = [resource_version(thing) for kind in (PLURAL, "secrets", "events") for thing in listed(harness, kind)]

    with harness.operator() as second:
        eventually(lambda: second.metric("vaultsync_polls_total", result="Synced") >= 1, "a poll")
        eventually(lambda: second.metric("vaultsync_reconciles_total", reason="Synced") >= len(names), "reconciles")
        assert harness.calls("get") == reads
    after = [resource_version(thing) for kind in (PLURAL, "secrets", "events") for thing in listed(harness, kind)]
    assert after == before


def listed(harness: OperatorHarness, kind: str) -> list[dict[str, object]]:
    """All objects of a kind, in the order of their names."""
    return sorted(harness.api.list(harness.path(kind)), key=lambda thing: str(thing["metadata"]["name"]))


@scenario
def test_changes_while_no_operator_runs_are_reconciled_at_the_start(harness: OperatorHarness) -> None:
    for name in ("rotated", "tampered", "deleted", "retargeted"):
        harness.put(name)
    entries = {
        name: {"key": "password", "secretName": name} for name in ("rotated", "tampered", "deleted", "retargeted")
    }
    with harness.operator() as first:
        for name, wanted in entries.items():
            harness.apply(wanted, name=name)
        for name in entries:
            harness.await_synced(name)
        assert first.stop() == 0

    rotated = harness.put("rotated")
    harness.tamper("tampered", stringData={"password": "guessed", "backdoor": "open"})
    harness.api.delete(harness.path("secrets", "deleted"))
    harness.change("retargeted", data=[{"key": "other", "secretName": "retargeted"}])
    fresh = harness.put("fresh")
    harness.apply({"key": "password", "secretName": "fresh"}, name="fresh")

    with harness.operator():
        harness.await_content("rotated", password=rotated)
        harness.await_content("tampered", password=harness.vault.value("tampered"))
        harness.await_content("deleted", password=harness.vault.value("deleted"))
        harness.await_content("retargeted", other=harness.vault.value("retargeted"))
        harness.await_content("fresh", password=fresh)


@scenario
def test_a_failure_before_a_restart_is_reported_until_the_vault_is_polled(harness: OperatorHarness) -> None:
    harness.put()
    with harness.operator() as first:
        harness.apply()
        harness.await_synced()
        harness.vault.disable("db-password")
        harness.await_reason("SecretDisabled")
        assert first.stop() == 0

    harness.vault.latency(1.0)
    with harness.operator() as second:
        eventually(lambda: second.metric("vaultsync_polls_total") >= 1, "a poll")
        eventually(lambda: second.metric("vaultsync_reconciles_total") >= 1, "a reconcile")

        assert harness.await_reason("SecretDisabled").status == "False"
    harness.await_event_counts(Created=1, SecretDisabled=1)


@scenario
def test_two_operators_at_once_as_in_an_update_do_not_write_in_turns(harness: OperatorHarness) -> None:
    harness.put_long_ago()
    with harness.operator() as old, harness.operator():
        harness.apply()
        harness.await_synced()
        value = harness.put_long_ago()
        harness.await_content(password=value)
        harness.await_calls("list", more=4)  # by then both have polled
        before = resource_version(harness.secret()), resource_version(harness.vault_secret())

        harness.await_calls("list", more=2)

        assert (resource_version(harness.secret()), resource_version(harness.vault_secret())) == before
        assert old.stop() == 0
        value = harness.put()
        harness.await_content(password=value)


@scenario
def test_the_garbage_collector_needs_no_operator(harness: OperatorHarness) -> None:
    harness.put()
    with harness.operator() as first:
        harness.apply()
        harness.await_synced()
        assert first.stop() == 0

    harness.delete()

    harness.eventually(lambda: harness.vault_secret() is None and harness.secret() is None, "both are deleted")


@scenario
def test_a_retained_secret_whose_vaultsecret_was_deleted_while_no_operator_ran_is_released_at_the_start(
    harness: OperatorHarness,
) -> None:
    value = harness.put()
    with harness.operator() as first:
        for name in ("left", "kept"):
            harness.apply(name=name, onDelete="Retain")
        for name in ("left", "kept"):
            harness.await_synced(name)
        assert first.stop() == 0
    harness.delete("left")
    before = resource_version(harness.secret("kept"))

    with harness.operator():
        released = harness.await_released("left")

        assert harness.content("left") == {"password": value.encode()}
        assert resource_version(harness.secret("kept")) == before
        consent = {"metadata": {"annotations": {ADOPT_BY_ANNOTATION: "left"}}}
        harness.api.patch(harness.path("secrets", "left"), consent)
        made = harness.apply(name="left", onDelete="Retain")
        taken_up = harness.await_synced("left")
    assert taken_up["metadata"]["uid"] == released["metadata"]["uid"]
    assert taken_up["metadata"]["labels"][OWNER_UID_LABEL] == made["metadata"]["uid"]
    assert harness.content("left") == {"password": value.encode()}


@scenario
def test_a_namespace_can_be_deleted_while_no_operator_runs(harness: OperatorHarness) -> None:
    harness.put()
    with harness.operator() as first:
        harness.apply()
        harness.await_synced()
        assert first.stop() == 0

    path = f"/api/v1/namespaces/{harness.namespace}"
    harness.api.delete(path)

    harness.eventually(lambda: harness.api.get(path) is None, "the namespace is deleted")


@scenario
def test_the_next_operator_finishes_what_a_killed_one_has_begun(harness: OperatorHarness) -> None:
    values = {f"db-{number}": harness.put(f"db-{number}") for number in range(30)}
    with harness.operator() as first:
        harness.vault.latency(0.05)
        for name in values:
            harness.apply({"key": "password", "secretName": name}, name=name)
        first.signal(signal.SIGKILL)
        first.wait()
    harness.vault.latency(0)

    with harness.operator():
        for name, value in values.items():
            harness.await_content(name, password=value)
            harness.await_reason("Synced", name=name)
    assert MARK not in harness.log.read_text()
