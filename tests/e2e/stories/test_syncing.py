"""What people ask for is what they get: values, keys, versions and the looks of the Secret."""

import base64

from tests.e2e.scene import NEXT_POLL, Scene, entry, resource_version
from tests.e2e.together import story

BYTES = b"\x00\xff\xfe binary \x80\n"


@story
def test_a_vault_secret_becomes_a_secret_with_the_vaults_value(scene: Scene) -> None:
    value = scene.put()

    scene.apply()

    scene.await_content(password=value)
    assert scene.await_reason("Synced").message == "1 key is in sync."
    scene.await_told(Created=1)


@story
def test_base64_in_the_vault_becomes_the_bytes_that_it_stands_for(scene: Scene) -> None:
    scene.vault.set("keystore", base64.b64encode(BYTES).decode())

    scene.apply(entry("store.p12", "keystore", encoding="Base64"))

    scene.await_synced()
    assert scene.content() == {"store.p12": BYTES}


@story
def test_several_secrets_of_the_vault_become_keys_of_one_secret(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put("db-password")

    scene.apply(entry("user", "db-user"), entry("password", "db-password"), entry("again", "DB-Password"))

    scene.await_content(user=user, password=password, again=password)


@story
def test_a_pinned_version_stays_while_the_vault_goes_on(scene: Scene) -> None:
    old = scene.value()
    version = scene.vault.set("db-password", old)
    scene.apply(entry("pinned", version=version), entry("newest"))
    scene.await_content(pinned=old, newest=old)

    new = scene.put()

    scene.await_content(pinned=old, newest=new, within=NEXT_POLL)


@story
def test_an_optional_secret_is_there_as_soon_as_the_vault_has_it_and_no_longer(scene: Scene) -> None:
    value = scene.put()
    scene.apply(entry(), entry("next", "db-password-next", optional=True))
    scene.await_content(password=value)
    assert scene.await_reason("Synced").message == "1 key is in sync."

    following = scene.put("db-password-next")
    scene.await_content(password=value, next=following, within=NEXT_POLL)

    scene.vault.delete("db-password-next")
    scene.await_content(password=value, within=NEXT_POLL)


@story
def test_the_target_has_the_name_type_labels_and_annotations_that_were_asked_for(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put()

    scene.apply(
        entry("username", "db-user"),
        entry(),
        target={
            "name": "credentials",
            "type": "kubernetes.io/basic-auth",
            "labels": {"team": "shop"},
            "annotations": {"example.com/note": "two words"},
        },
    )

    secret = scene.await_content("credentials", username=user, password=password)
    assert secret["type"] == "kubernetes.io/basic-auth"
    assert secret["metadata"]["labels"].items() >= {"team": "shop", "app.kubernetes.io/managed-by": "vaultsync"}.items()
    assert secret["metadata"]["annotations"]["example.com/note"] == "two words"
    assert scene.secret("db") is None


@story
def test_a_new_version_in_the_vault_is_there_after_the_next_poll(scene: Scene) -> None:
    scene.put()
    scene.apply()
    scene.await_synced()

    value = scene.put()

    scene.await_content(password=value, within=NEXT_POLL)
    scene.await_told(Created=1, Rotated=1)


@story
def test_one_secret_in_many_places_is_read_once_when_it_changes(scene: Scene) -> None:
    scene.put()
    names = [f"db-{number}" for number in range(20)]
    for name in names:
        scene.apply(name=name)
    for name in names:
        scene.await_synced(name)
    reads = scene.calls("get")

    value = scene.put()

    for name in names:
        scene.await_content(name, password=value, within=NEXT_POLL)
    assert scene.calls("get") <= reads + 2


@story
def test_a_changed_spec_is_followed_at_once(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put()
    scene.apply(entry(), target={"labels": {"team": "shop"}})
    scene.await_content(password=password)

    scene.change(data=[entry("user", "db-user")], target={"labels": {"team": None, "tier": "web"}})

    secret = scene.await_content(user=user)
    assert "team" not in secret["metadata"]["labels"]
    assert secret["metadata"]["labels"]["tier"] == "web"


@story
def test_nothing_is_read_or_written_while_nothing_changes(scene: Scene) -> None:
    scene.put()
    scene.apply()
    secret = scene.await_synced()
    scene.await_calls("list", more=2)  # the first of them may settle what was read within the second of its change
    reads, vault_secret = scene.calls("get"), resource_version(scene.vault_secret())

    scene.await_calls("list", more=2)

    assert scene.calls("get") == reads
    assert resource_version(scene.secret()) == resource_version(secret)
    assert resource_version(scene.vault_secret()) == vault_secret


@story
def test_a_suspended_vault_secret_reads_and_writes_nothing_until_it_is_resumed(scene: Scene) -> None:
    value = scene.put()
    scene.apply()
    scene.await_content(password=value)
    scene.change(suspend=True)
    scene.await_reason("Suspended")
    calls = scene.vault.calls()

    scene.tamper(stringData={"password": "guessed"})
    value = scene.put()
    scene.await_polls_elsewhere()

    assert scene.content() == {"password": b"guessed"}
    assert scene.vault.calls() == calls
    scene.change(suspend=False)
    scene.await_content(password=value)
