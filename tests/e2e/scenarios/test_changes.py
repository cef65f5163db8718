"""Changes in the vault cost one write and one event, are read again on request, and are missed in an outage."""

from tests.e2e.concurrency import scenario
from tests.e2e.harness import SELDOM, Harness, entry, resource_version
from vaultsync.api import REFRESH_ANNOTATION


def request_refresh(harness: Harness, text: str, **more: str) -> None:
    """Request that everything is read again, and add other annotations."""
    harness.annotate({REFRESH_ANNOTATION: text, **more})


def await_handled(harness: Harness, text: str) -> None:
    """Return as soon as the status says that everything was read again for that request."""
    harness.eventually(lambda: harness.status().get("lastHandledRefresh") == text, f"{text} is handled")


@scenario
def test_a_rotation_is_one_write_and_one_event_with_key_and_version(harness: Harness) -> None:
    user, value = harness.put("db-user"), harness.value()
    harness.put()
    harness.apply(entry(), entry("user", "db-user"))
    before = harness.await_synced()

    version = harness.vault.set("db-password", value)

    event = harness.await_event("Normal", "Rotated")
    assert {part for part in ("password", "db-password", version) if part not in event.message} == set()
    assert "db-user" not in event.message
    harness.await_content(password=value, user=user)
    harness.await_calls("list", more=2)  # it is read once more when its second is over
    assert [resource_version(secret) for secret in harness.writes(since=before)] == [resource_version(harness.secret())]
    harness.eventually(lambda: version in str(harness.status()["entries"]), "the new version in the status")
    harness.await_event_counts(Created=1, Rotated=1)


@scenario
def test_everything_is_read_again_once_for_each_request(harness: Harness) -> None:
    user, value = harness.put("db-user"), harness.value()
    harness.put()
    harness.apply(entry(), entry("user", "db-user"), refreshInterval=SELDOM)
    harness.await_synced()
    reads = harness.calls("get")
    harness.vault.set("db-password", value)

    request_refresh(harness, "a rotation that cannot wait")

    harness.await_content(password=value, user=user)
    await_handled(harness, "a rotation that cannot wait")
    once = harness.calls("get")
    assert once >= reads + 2
    request_refresh(harness, "a rotation that cannot wait", note="not about vaultsync")
    harness.await_polls_elsewhere()
    assert harness.calls("get") == once
    request_refresh(harness, "and another one")
    await_handled(harness, "and another one")
    assert harness.calls("get") >= once + 2
    harness.await_event_counts(Created=1, Rotated=1)


@scenario
def test_a_search_finds_new_secrets_on_request(harness: Harness) -> None:
    old = harness.put("shop-old")
    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}], refreshInterval=SELDOM)
    harness.await_content(**{"shop-old": old})
    harness.await_synced()
    new = harness.put("shop-new")

    request_refresh(harness, "now")

    harness.await_content(**{"shop-old": old, "shop-new": new})
    await_handled(harness, "now")


@scenario
def test_a_vault_outage_makes_targets_stale_and_costs_one_write_each_when_it_ends(harness: Harness) -> None:
    value, names = harness.put_long_ago(), [f"db-{number}" for number in range(10)]
    for name in names:
        harness.apply(name=name)
    for name in names:
        harness.await_synced(name)
    targets = {name: harness.secret(name) or {} for name in names}

    harness.vault.close_door()
    for name in names:
        harness.await_reason("VaultUnreachable", name=name)
        stale = harness.await_reason("NotConfirmed", name=name, of="Stale")

        assert stale.status == "True"
        assert harness.await_event("Warning", "Stale", name=name).message == stale.message
        assert harness.content(name) == {"password": value.encode()}
    reads = harness.calls("get")
    value = harness.put_long_ago()
    harness.vault.open_door()

    for name in names:
        harness.await_content(name, password=value)
        assert harness.await_reason("Fresh", name=name, of="Stale").status == "False"
        assert harness.await_reason("Synced", name=name).status == "True"
    assert harness.calls("get") < reads + len(names)
    for name in names:
        assert len(harness.writes(name, since=targets[name])) == 1
        harness.await_event_counts(name, Created=1, VaultUnreachable=1, Stale=1, Rotated=1)
