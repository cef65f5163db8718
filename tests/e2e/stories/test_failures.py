"""Each failure has its own word and a sentence that helps; it is told once, touches no target, and passes by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e.scene import NEXT_POLL, POLL, Scene, entry, eventually, resource_version
from tests.e2e.together import story

BACK: Final = 90.0
"""Seconds within which a vault that was away is asked again: retries come further and further apart."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something goes wrong with the vault of a scene: `message` is what people are told, with the vault's URL in it."""

    begin: Callable[[Scene], None]
    end: Callable[[Scene], None]
    reason: str
    message: str
    again: str = "get"
    """The kind of calls by which it shows that the vault was asked again, if anything can show it."""


def purge(scene: Scene) -> None:
    """Remove the secret for good."""
    scene.vault.delete("db-password")
    scene.vault.purge("db-password")


def deny(scene: Scene) -> None:
    """Take every right away, and rotate, so that somebody would want to read."""
    scene.vault.deny("get")
    scene.vault.deny("list")
    scene.put()


def allow(scene: Scene) -> None:
    """Give the rights back."""
    scene.vault.allow("get")
    scene.vault.allow("list")


def put(scene: Scene) -> None:
    """Set the secret anew."""
    scene.put()


def wait(scene: Scene) -> None:
    """Change nothing."""


TROUBLES: Final = {
    "a deleted secret": Trouble(
        lambda scene: scene.vault.delete("db-password"),
        lambda scene: scene.vault.recover("db-password"),
        "SecretSoftDeleted",
        "Secret db-password of vault {vault} was deleted; recover it there until ",
    ),
    "a purged secret": Trouble(
        purge,
        put,
        "SecretNotFound",
        "There is no secret db-password of vault {vault}; set it in the vault, or correct the name or version.",
    ),
    "a disabled secret": Trouble(
        lambda scene: scene.vault.disable("db-password"),
        lambda scene: scene.vault.enable("db-password"),
        "SecretDisabled",
        "Disabled: secret db-password of vault {vault}; enable it in the vault, or pin an enabled version.",
    ),
    "no permission at all": Trouble(deny, allow, "AccessDenied", "secret db-password of vault {vault}"),
    "a closed firewall": Trouble(
        lambda scene: scene.vault.close_firewall(),
        lambda scene: scene.vault.open_firewall(),
        "FirewallDenied",
        "No way to vault {vault}: its firewall or private link keeps this cluster out.",
        again="list",
    ),
    "a vault that is away": Trouble(
        lambda scene: scene.vault.close_door(),
        lambda scene: scene.vault.open_door(),
        "VaultUnreachable",
        "No answer from vault {vault}.",
        again="",
    ),
    "a vault that fails": Trouble(
        lambda scene: scene.vault.fail(5),
        wait,
        "VaultFailed",
        "A failure of vault {vault} itself; there is nothing to be done here.",
        again="",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@story
def test_trouble_is_named_once_touches_nothing_and_passes_by_itself(scene: Scene, trouble: Trouble) -> None:
    scene.put()
    scene.apply()
    before = resource_version(scene.await_synced())

    trouble.begin(scene)

    ready = scene.await_reason(trouble.reason, within=NEXT_POLL + POLL)
    assert ready.status == "False"
    assert trouble.message.format(vault=scene.vault.url) in ready.message
    if trouble.again:
        scene.await_calls(trouble.again, more=2)
    eventually(lambda: scene.told()[trouble.reason] == 1, "one event")
    assert resource_version(scene.secret()) == before
    trouble.end(scene)
    scene.await_reason("Synced", within=BACK)
    assert scene.told()[trouble.reason] == 1
    assert {event.message for event in scene.events() if event.reason == trouble.reason} == {ready.message}
    scene.await_content(password=scene.vault.value("db-password"))


@story
def test_a_secret_that_is_not_there_yet_is_there_as_soon_as_it_is_set(scene: Scene) -> None:
    scene.apply(entry(), entry("user", "db-user"))
    ready = scene.await_reason("SecretNotFound")
    assert ready.message.startswith(f"There is no secret db-password of vault {scene.vault.url};")

    password = scene.put("db-password")
    eventually(lambda: "secret db-user" in str(scene.ready()), "the other one is named", within=NEXT_POLL)
    user = scene.put("db-user")

    scene.await_content(password=password, user=user, within=NEXT_POLL)


@story
def test_without_permission_to_list_secrets_are_followed_one_by_one(scene: Scene) -> None:
    scene.vault.deny("list")
    value = scene.put()
    scene.apply()
    scene.await_content(password=value)

    value = scene.put()

    scene.await_content(password=value, within=2 * NEXT_POLL)
    scene.await_told(Created=1, Rotated=1)
    assert scene.await_reason("Synced").status == "True"


@story
def test_a_throttled_vault_is_left_in_peace_for_as_long_as_it_asks_and_holds_up_no_other(scene: Scene) -> None:
    scene.put()
    scene.vault.throttle(2, retry_after=25)
    scene.apply()
    scene.await_reason("VaultThrottled")
    scene.await_told(VaultThrottled=1)
    calls = scene.vault.calls()

    other = scene.emulator.add_vault(f"{scene.namespace}-other")
    value = scene.put(vault=other)
    scene.apply(name="other", vaultUrl=other.url)

    scene.await_content("other", password=value, within=20)
    assert scene.vault.calls() == calls
    scene.await_synced(within=BACK)


@story
def test_a_host_that_does_not_resolve_is_no_vault(scene: Scene) -> None:
    value = scene.put()
    scene.apply(vaultUrl="https://no-such-vault.invalid")

    message = scene.await_reason("VaultNotFound").message
    assert message.startswith("Cannot find the host of vault https://no-such-vault.invalid; correct vaultUrl")
    scene.await_told(VaultNotFound=1)
    scene.change(vaultUrl=scene.vault.url)

    scene.await_content(password=value)


@story
def test_a_vault_outside_the_allowed_domains_hears_nothing_from_us(scene: Scene) -> None:
    scene.put()

    scene.apply(vaultUrl=scene.vault.url.replace("localhost", "127.0.0.1"))

    ready = scene.await_reason("InvalidSpec")
    assert "https://127.0.0.1" in ready.message
    assert "VAULTSYNC_VAULT_DNS_SUFFIXES" in ready.message
    scene.await_polls_elsewhere()
    assert scene.vault.calls() == {}
    assert scene.told() == {"InvalidSpec": 1}


@story
def test_a_value_that_is_no_base64_is_not_written(scene: Scene) -> None:
    value = scene.put()
    scene.apply(entry(encoding="Base64"))

    ready = scene.await_reason("EncodingInvalid")
    assert "db-password" in ready.message
    assert value not in ready.message
    assert scene.secret() is None


@story
def test_more_than_a_secret_may_hold_is_not_written(scene: Scene) -> None:
    scene.vault.set("large", scene.value() + "x" * 25_000)
    scene.apply(*(entry(f"key-{number}", "large") for number in range(50)))

    assert "1048576" in scene.await_reason("TargetTooLarge").message
    assert scene.secret() is None


@story
def test_a_failure_of_one_entry_leaves_the_whole_target_as_it_was(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put()
    scene.apply(entry("user", "db-user"), entry())
    scene.await_content(user=user, password=password)

    scene.vault.disable("db-password")
    scene.put("db-user")

    scene.await_reason("SecretDisabled", within=NEXT_POLL)
    scene.await_calls("list", more=1)
    assert scene.content() == {"user": user.encode(), "password": password.encode()}
