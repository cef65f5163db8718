"""Outages of the API server and of the login: the operator recovers from them without a restart."""

import uuid

from tests.e2e.concurrency import scenario
from tests.e2e.harness import entry, eventually, resource_version
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator


def await_interrupted_watch(harness: OperatorHarness, running: RunningOperator) -> None:
    """Return as soon as the operator has logged that its watch of the namespace was interrupted."""
    running.await_line(level="WARNING", namespace=harness.namespace)


@scenario
def test_changes_during_an_api_server_outage_are_reconciled_after_it(harness: OperatorHarness) -> None:
    names = ("tampered", "deleted", "orphaned", "retargeted")
    for name in names:
        harness.put(name)
    with harness.proxy() as proxy, harness.operator(through=proxy) as running:
        for name in names:
            harness.apply(entry(source=name), name=name)
        harness.apply(entry(source="tampered"), name="left", onDelete="Retain")
        for name in (*names, "left"):
            harness.await_synced(name)

        proxy.disconnect()
        harness.tamper("tampered", stringData={"password": "guessed"})
        harness.api.delete(harness.path("secrets", "deleted"))
        harness.delete("orphaned")
        harness.delete("left")
        harness.change("retargeted", data=[entry("other", "retargeted")])
        fresh = harness.put("fresh")
        harness.apply(entry(source="fresh"), name="fresh")
        await_interrupted_watch(harness, running)
        proxy.connect()

        harness.await_content("fresh", password=fresh)
        harness.await_content("tampered", password=harness.vault.value("tampered"))
        harness.await_content("deleted", password=harness.vault.value("deleted"))
        harness.await_content("retargeted", other=harness.vault.value("retargeted"))
        eventually(lambda: running.metric("vaultsync_vaultsecrets") == 4, "no metric of the deleted VaultSecrets")
        harness.await_released("left")
        eventually(lambda: running.is_ready, "a ready operator")
        harness.eventually(
            lambda: harness.secret("orphaned") is None, "the Secret of the deleted VaultSecret is deleted"
        )


@scenario
def test_an_api_server_outage_costs_no_read_and_no_write(harness: OperatorHarness) -> None:
    names = [f"db-{number}" for number in range(20)]
    harness.put_long_ago()
    with harness.proxy() as proxy, harness.operator(through=proxy) as running:
        for name in names:
            harness.apply(name=name)
        targets = {name: harness.await_synced(name) for name in names}
        statuses = {name: resource_version(harness.vault_secret(name)) for name in names}
        reads = harness.calls("get")

        proxy.disconnect()
        await_interrupted_watch(harness, running)
        proxy.connect()

        fresh = harness.put_long_ago("fresh")
        harness.apply(entry(source="fresh"), name="fresh")
        harness.await_content("fresh", password=fresh)
        harness.await_calls("list", more=2)
        assert harness.calls("get") < reads + len(names)
        assert [name for name in names if harness.writes(name, since=targets[name])] == []
        assert {name: resource_version(harness.vault_secret(name)) for name in names} == statuses


@scenario
def test_a_rotation_during_an_api_server_outage_is_written_after_it(harness: OperatorHarness) -> None:
    harness.put()
    with harness.proxy() as proxy, harness.operator(through=proxy) as running:
        harness.apply()
        harness.await_synced()

        proxy.disconnect()
        value = harness.put()
        eventually(lambda: running.metric("vaultsync_leader") == 0, "its Lease is not renewed any more")
        proxy.connect()

        harness.await_content(password=value)
        harness.await_reason("Synced")


@scenario
def test_a_rejected_login_is_reported_and_retried(harness: OperatorHarness) -> None:
    value = harness.put()
    client, secret = str(uuid.uuid4()), harness.value()
    harness.apply()
    with harness.operator(environ={"AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": secret}) as running:
        message = harness.await_reason("LoginFailed").message
        assert harness.vault.url in message
        eventually(
            lambda: running.metric("vaultsync_polls_total", vault=harness.vault.url, result="LoginFailed") >= 3,
            "retries of the login",
        )
        assert harness.await_event("Warning", "LoginFailed").message == message
        harness.await_event_counts(LoginFailed=1)
        assert harness.secret() is None

        harness.emulator.register(client, secret=secret)

        harness.await_content(password=value)
        assert [line for line in running.lines() if "logger" not in line] == []
    assert secret not in harness.log.read_text()


@scenario
def test_revoked_tokens_are_replaced_at_once(harness: OperatorHarness) -> None:
    harness.put()
    client, secret = str(uuid.uuid4()), harness.value()
    harness.emulator.register(client, secret=secret)
    harness.apply()
    with harness.operator(environ={"AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": secret}) as running:
        harness.await_synced()

        harness.emulator.revoke_tokens(client)
        value = harness.put()

        harness.await_content(password=value)
        assert running.metric("vaultsync_polls_total", vault=harness.vault.url, result="LoginFailed") == 0
    assert "LoginFailed" not in harness.log.read_text()
