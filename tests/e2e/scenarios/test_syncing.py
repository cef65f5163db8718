"""A target holds what its VaultSecret selects: values, keys, versions, type, labels and annotations."""

import base64

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, entry, resource_version

BYTES = b"\x00\xff\xfe binary \x80\n"


@scenario
def test_a_vaultsecret_becomes_a_secret_with_the_value_in_the_vault(harness: Harness) -> None:
    value = harness.put()

    harness.apply()

    harness.await_content(password=value)
    assert harness.await_reason("Synced").status == "True"
    harness.await_event_counts(Created=1)


@scenario
def test_base64_in_the_vault_is_decoded(harness: Harness) -> None:
    harness.vault.set("keystore", base64.b64encode(BYTES).decode())

    harness.apply(entry("store.p12", "keystore", encoding="Base64"))

    harness.await_synced()
    assert harness.content() == {"store.p12": BYTES}


@scenario
def test_several_secrets_of_the_vault_become_keys_of_one_secret(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put("db-password")

    harness.apply(entry("user", "db-user"), entry("password", "db-password"), entry("again", "DB-Password"))

    harness.await_content(user=user, password=password, again=password)


@scenario
def test_a_pinned_version_is_kept_while_the_secret_is_rotated(harness: Harness) -> None:
    old = harness.value()
    version = harness.vault.set("db-password", old)
    harness.apply(entry("pinned", version=version), entry("newest"))
    harness.await_content(pinned=old, newest=old)

    new = harness.put()

    harness.await_content(pinned=old, newest=new)


@scenario
def test_an_optional_secret_is_synced_while_the_vault_has_it(harness: Harness) -> None:
    value = harness.put()
    harness.apply(entry(), entry("next", "db-password-next", optional=True), deleteAfter="1m")
    harness.await_content(password=value)
    assert harness.await_reason("Synced").status == "True"

    following = harness.put("db-password-next")
    harness.await_content(password=value, next=following)

    harness.vault.delete("db-password-next")
    harness.await_content(password=value)


@scenario
def test_the_target_has_the_name_type_labels_and_annotations_of_the_spec(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put()

    harness.apply(
        entry("username", "db-user"),
        entry(),
        target={
            "name": "credentials",
            "type": "kubernetes.io/basic-auth",
            "labels": {"team": "shop"},
            "annotations": {"example.com/note": "two words"},
        },
    )

    secret = harness.await_content("credentials", username=user, password=password)
    assert secret["type"] == "kubernetes.io/basic-auth"
    assert secret["metadata"]["labels"].items() >= {"team": "shop", "app.kubernetes.io/managed-by": "vaultsync"}.items()
    assert secret["metadata"]["annotations"]["example.com/note"] == "two words"
    assert harness.secret("db") is None


@scenario
def test_one_secret_of_many_vaultsecrets_is_read_once_when_it_is_rotated(harness: Harness) -> None:
    harness.put_long_ago()
    names = [f"db-{number}" for number in range(20)]
    for name in names:
        harness.apply(name=name)
    for name in names:
        harness.await_synced(name)
    reads = harness.calls("get")

    value = harness.put_long_ago()

    for name in names:
        harness.await_content(name, password=value)
    assert harness.calls("get") < reads + len(names)


@scenario
def test_a_changed_spec_is_synced_without_a_poll(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put()
    harness.apply(entry(), target={"labels": {"team": "shop"}})
    harness.await_content(password=password)

    harness.change(data=[entry("user", "db-user")], target={"labels": {"team": None, "tier": "web"}})

    secret = harness.await_content(user=user)
    assert "team" not in secret["metadata"]["labels"]
    assert secret["metadata"]["labels"]["tier"] == "web"


@scenario
def test_nothing_is_read_or_written_while_nothing_changes(harness: Harness) -> None:
    harness.put_long_ago()
    harness.apply()
    secret = harness.await_synced()
    reads, vault_secret = harness.calls("get"), resource_version(harness.vault_secret())

    harness.await_calls("list", more=3)

    assert harness.calls("get") == reads
    assert resource_version(harness.secret()) == resource_version(secret)
    assert resource_version(harness.vault_secret()) == vault_secret


@scenario
def test_a_suspended_vaultsecret_is_neither_read_nor_written_until_it_is_resumed(harness: Harness) -> None:
    value = harness.put()
    harness.apply()
    harness.await_content(password=value)
    harness.change(suspend=True)
    harness.await_reason("Suspended")
    reads = harness.calls("get")

    harness.tamper(stringData={"password": "guessed"})
    value = harness.put()
    harness.await_polls_elsewhere()

    assert harness.content() == {"password": b"guessed"}
    assert harness.calls("get") == reads
    harness.change(suspend=False)
    harness.await_content(password=value)
