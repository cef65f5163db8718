"""Errors of a vault: each has its reason, is reported once, leaves the target as it is, and is recovered from."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, entry, in_a_window, resource_version


@dataclass(frozen=True, slots=True)
class VaultError:
    """A failure of a scenario's vault, and how it ends."""

    begin: Callable[[Harness], object]
    end: Callable[[Harness], object]
    reason: str
    names: tuple[str, ...] = ()
    """What the message names, beside the vault's URL."""
    retried: str = "get"
    """The kind of calls by which a retry can be counted, if there is one."""


def purge(harness: Harness) -> None:
    """Remove the secret for good."""
    harness.vault.delete("db-password")
    harness.vault.purge("db-password")


def deny(harness: Harness) -> None:
    """Take all permissions away, and rotate, which makes the operator read."""
    harness.vault.deny("get")
    harness.vault.deny("list")
    harness.put()


def allow(harness: Harness) -> None:
    """Grant the permissions again."""
    harness.vault.allow("get")
    harness.vault.allow("list")


SECRET: Final = ("db-password",)

ERRORS: Final = {
    "a deleted secret": VaultError(
        lambda harness: harness.vault.delete("db-password"),
        lambda harness: harness.vault.recover("db-password"),
        "SecretSoftDeleted",
        SECRET,
        retried="list",
    ),
    "a purged secret": VaultError(purge, Harness.put, "SecretNotFound", SECRET, retried="list"),
    "a disabled secret": VaultError(
        lambda harness: harness.vault.disable("db-password"),
        lambda harness: harness.vault.enable("db-password"),
        "SecretDisabled",
        SECRET,
    ),
    "no permission": VaultError(deny, allow, "AccessDenied", SECRET),
    "a closed firewall": VaultError(
        lambda harness: harness.vault.close_firewall(),
        lambda harness: harness.vault.open_firewall(),
        "FirewallDenied",
        retried="list",
    ),
    "an unreachable vault": VaultError(
        lambda harness: harness.vault.close_door(),
        lambda harness: harness.vault.open_door(),
        "VaultUnreachable",
        retried="",
    ),
    "a failing vault": VaultError(lambda harness: harness.vault.fail(5), lambda _: None, "VaultFailed", retried=""),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@scenario
def test_an_error_is_reported_once_leaves_the_target_and_is_recovered_from(harness: Harness, error: VaultError) -> None:
    harness.put_long_ago()
    harness.apply()
    before = resource_version(harness.await_synced())

    error.begin(harness)

    ready = harness.await_reason(error.reason)
    assert ready.status == "False"
    assert [name for name in (harness.vault.url, *error.names) if name not in ready.message] == []
    if error.retried:
        harness.await_calls(error.retried, more=2)
    assert harness.await_event("Warning", error.reason).message == ready.message
    assert resource_version(harness.secret()) == before
    error.end(harness)
    harness.await_reason("Synced")
    assert harness.event_counts()[error.reason] <= 1
    harness.await_content(password=harness.vault.value("db-password"))


@scenario
def test_a_missing_secret_is_synced_when_it_is_set(harness: Harness) -> None:
    harness.apply(entry(), entry("user", "db-user"))
    assert "db-password" in harness.await_reason("SecretNotFound").message

    password = harness.put("db-password")
    harness.eventually(lambda: "db-user" in str(harness.ready()), "the other secret in the message")
    user = harness.put("db-user")

    harness.await_content(password=password, user=user)


@scenario
def test_without_permission_to_list_secrets_are_polled_one_by_one(harness: Harness) -> None:
    harness.vault.deny("list")
    value = harness.put()
    harness.apply()
    harness.await_content(password=value)

    value = harness.put()

    harness.await_content(password=value)
    harness.await_event_counts(Created=1, Rotated=1)
    assert harness.await_reason("Synced").status == "True"


@scenario
def test_a_throttled_vault_gets_no_calls_before_retry_after_and_delays_no_other_vault(harness: Harness) -> None:
    def is_left_alone(number: int, seconds: float) -> bool:
        throttled, other = (harness.emulator.add_vault(f"{harness.namespace}-{role}-{number}") for role in "ab")
        value, name = harness.put(vault=throttled), f"db-{number}"
        # The check of its grant is a call, too, which would get one of the planned answers.
        harness.grant(throttled.url)
        harness.eventually(lambda: throttled.calls()["list"] == 1, "the check of the grant")
        before = throttled.calls()
        throttled.throttle(2, retry_after=int(seconds))
        began = monotonic()
        harness.apply(name=name, vaultUrl=throttled.url)
        harness.await_reason("VaultThrottled", name=name)
        harness.await_event("Warning", "VaultThrottled", name=name)

        harness.put(vault=other)
        harness.apply(name=f"{name}-other", vaultUrl=other.url)

        harness.await_synced(f"{name}-other")
        calls = throttled.calls() - before
        if monotonic() - began >= seconds:
            return False
        assert max(calls["list"], calls["get"]) == 1, "both may be sent before the answer to either"
        harness.await_content(name, password=value)
        return True

    in_a_window(is_left_alone)


@scenario
def test_an_unknown_host_is_reported_until_the_url_is_corrected(harness: Harness) -> None:
    value = harness.put()
    harness.apply(vaultUrl="https://no-such-vault.invalid")

    assert "https://no-such-vault.invalid" in harness.await_reason("VaultNotFound").message
    harness.await_event_counts(VaultNotFound=1)
    harness.change(vaultUrl=harness.vault.url)

    harness.await_content(password=value)


@scenario
def test_a_vault_outside_the_allowed_domains_gets_no_call(harness: Harness) -> None:
    # Not the vault of the harness, which is granted by its right name, too: a grant is checked by a call.
    outside = harness.emulator.add_vault(f"{harness.namespace}-outside")
    outside.set("db-password", harness.value())

    harness.apply(vaultUrl=outside.url.replace("localhost", "127.0.0.1"))

    ready = harness.await_reason("InvalidSpec")
    assert "https://127.0.0.1" in ready.message
    assert "VAULTSYNC_VAULT_DNS_SUFFIXES" in ready.message
    harness.await_polls_elsewhere()
    assert outside.calls() == {}
    harness.await_event_counts(InvalidSpec=1)


@scenario
def test_a_value_that_cannot_be_decoded_is_not_written(harness: Harness) -> None:
    value = harness.put()
    harness.apply(entry(encoding="Base64"))

    ready = harness.await_reason("EncodingInvalid")
    assert "db-password" in ready.message
    assert value not in ready.message
    assert harness.secret() is None


@scenario
def test_an_error_of_one_entry_leaves_the_whole_target_as_it_is(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put()
    harness.apply(entry("user", "db-user"), entry())
    harness.await_content(user=user, password=password)

    harness.vault.disable("db-password")
    harness.await_reason("SecretDisabled")
    harness.put("db-user")

    harness.await_calls("list", more=2)
    assert harness.content() == {"user": user.encode(), "password": password.encode()}
