"""What a target holds: what searches find, objects, the version before, templates, and what is immutable."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import bcrypt
import pytest

from tests.builders import ACCESS, a_listing
from tests.harness import DB, RECHECK, SKEW, MemoryHarness, entry
from tests.manifests import manifest, spec
from tests.unit.vaultsync.render.authorities import a_line, a_party, in_pem, key_in_pem
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason, StillBusy, SyncError
from vaultsync.policy.plan import Plan, plan_for
from vaultsync.state.observed import Observed
from vaultsync.state.vaults import VaultView

FIND = {"find": {"names": "shop-*"}}


async def test_a_search_waits_for_the_first_listing_and_reports_no_event(harness: MemoryHarness) -> None:
    harness.vault.set("shop-user", "app")
    harness.apply(data=[], dataFrom=[FIND])

    await harness.drain()
    assert (harness.values(), harness.events) == (None, [])
    assert (harness.ready().status, harness.ready().reason) == ("Unknown", "Waiting")
    assert "first listing" in harness.ready().message
    assert harness.poll_requested

    await harness.poll()
    assert harness.values() == {"shop-user": "app"}
    assert harness.ready().message == "1 key is in sync."
    await harness.poll()
    await harness.assert_idle()


async def test_what_searches_find_is_computed_before_each_plan(
    harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One search after the other: 32 searches of a vault of thousands take a second."""
    harness.vault.set("shop-user", "app")
    harness.apply(data=[], dataFrom=[FIND, {"find": {"names": "*-api"}}])
    await harness.drain()
    computed: list[int] = []

    def plan(one: VaultSecret, target: Observed | None, view: VaultView, **named: object) -> Plan:
        assert view.listing is not None
        computed.append(len(view.listing._found._results))
        return plan_for(one, target, view, **named)  # type: ignore[arg-type]  # they are passed on as they are

    monkeypatch.setattr("vaultsync.sources.poller.plan_for", plan)
    await harness.poll()
    harness.state.vaults.publish(ACCESS, replace(harness.state.vaults.view(ACCESS), listing=a_listing()))
    monkeypatch.setattr("vaultsync.controller.reconcile.plan_for", plan)
    await harness.reconcile()

    assert set(computed) == {2}


async def test_a_hashed_password_stays_until_it_changes(harness: MemoryHarness) -> None:
    template = {"auth": "{{ password | htpasswd: 'app' }}"}
    harness.apply(entry(), target={"template": template})
    await harness.drain()
    first = harness.values()
    assert first is not None
    assert bcrypt.checkpw(b"first", first["auth"].removeprefix("app:").encode())

    harness.kube.edit(DB, "mallory", data={"auth": "app:x"})
    await harness.drain()
    await harness.restart()
    await harness.poll(RECHECK.total_seconds())
    assert harness.values() == first

    await harness.rotate()
    await harness.poll()
    second = harness.values()
    assert second is not None
    assert bcrypt.checkpw(b"second", second["auth"].removeprefix("app:").encode())


async def test_a_password_that_waits_for_its_turn_to_be_hashed_leaves_the_secret_as_it_is(
    harness: MemoryHarness,
) -> None:
    harness.apply(entry(), target={"template": {"auth": "{{ password | htpasswd: 'app' }}"}})
    await harness.drain()
    before = harness.values()

    harness.certificates.refusal = StillBusy(Reason.WAITING, "Waiting.")
    await harness.rotate()
    await harness.poll()

    assert harness.values() == before


async def test_a_search_follows_the_polls_and_lists_nothing_itself(harness: MemoryHarness) -> None:
    harness.vault.set("shop-user", "app")
    harness.apply(data=[], dataFrom=[FIND])
    await harness.poll()
    await harness.poll()

    harness.vault.set("shop-password", "x")
    harness.vault.set("shop-old", "x")
    harness.vault.disable("shop-old")
    harness.reset_counts()
    await harness.poll()

    assert harness.values() == {"shop-user": "app", "shop-password": "x"}
    assert harness.status().left_out == 1
    assert harness.vault.calls["list"] == 1

    harness.vault.delete("shop-user")
    await harness.poll()
    assert harness.values() == {"shop-user": "app", "shop-password": "x"}
    await harness.poll(3600)
    assert harness.values() == {"shop-password": "x"}
    await harness.poll()
    await harness.assert_idle()


async def test_a_restart_reads_nothing_of_what_a_search_has_found(harness: MemoryHarness) -> None:
    harness.vault.set("shop-user", "app")
    harness.apply(data=[], dataFrom=[FIND])
    await harness.poll()
    await harness.poll()
    harness.reset_counts()

    await harness.restart()
    await harness.drain()
    await harness.poll()

    assert harness.values() == {"shop-user": "app"}
    assert (harness.reads, harness.writes) == (0, {})


async def test_content_follows_the_tag_that_says_how_it_is_encoded(harness: MemoryHarness) -> None:
    harness.vault.set("shop-file", "aGk=")
    harness.apply(entry("file", "shop-file", encoding="Auto"), dataFrom=[{**FIND, "encoding": "Auto"}])
    await harness.poll()
    assert harness.values() == {"file": "aGk=", "shop-file": "aGk="}

    harness.clock.turn(60)
    harness.vault.tag("shop-file", {"file-encoding": "base64"})
    await harness.poll()
    assert harness.values() == {"file": "hi", "shop-file": "hi"}

    await harness.restart()
    await harness.drain()
    await harness.poll()
    await harness.assert_idle()

    harness.clock.turn(60)
    harness.vault.tag("shop-file", {})
    await harness.poll()
    assert harness.values() == {"file": "aGk=", "shop-file": "aGk="}


async def test_a_search_fails_where_the_vault_may_not_be_listed(harness: MemoryHarness) -> None:
    harness.vault.deny("list")
    harness.apply(data=[], dataFrom=[FIND])

    await harness.poll()

    assert harness.ready().reason == "AccessDenied"
    assert "needs to list the vault's secrets" in harness.ready().message
    assert "Key Vault Secrets User" in harness.ready().message


async def test_a_search_that_finds_nothing_any_more_keeps_the_last_good_target(harness: MemoryHarness) -> None:
    harness.vault.set("shop-user", "app")
    harness.apply(data=[], dataFrom=[FIND])
    await harness.poll()

    harness.vault.delete("shop-user")
    await harness.poll()

    assert harness.values() == {"shop-user": "app"}
    assert harness.ready().reason == "SecretNotFound"


async def test_a_missing_optional_object_is_not_read_in_each_reconcile(
    harness: MemoryHarness,
) -> None:
    harness.apply(dataFrom=[{"object": "app", "optional": True}])
    await harness.drain()
    await harness.poll()

    await harness.pass_time((RECHECK + 2 * SKEW).total_seconds())
    await harness.drain()
    await harness.assert_idle()

    harness.vault.set("app", '{"user": "shop"}')
    await harness.poll()
    assert harness.values() == {"password": "first", "user": "shop"}


async def test_the_version_before_is_kept_beside_the_newest(harness: MemoryHarness) -> None:
    harness.apply(entry(previousKey="old"))
    await harness.drain()
    assert harness.values() == {"password": "first"}

    await harness.rotate()
    await harness.poll()
    assert harness.values() == {"password": "second", "old": "first"}
    await harness.poll()
    await harness.assert_idle()


IMMUTABLE = {"immutable": True}


async def test_the_version_before_is_found_although_a_list_was_incomplete(harness: MemoryHarness) -> None:
    harness.apply(entry(previousKey="old"))
    await harness.poll()
    await harness.poll()
    harness.vault.set("db-password", "second")
    harness.faults.skip_versions("db-password", listings=1)

    await harness.poll()
    assert harness.values() == {"password": "second"}
    for _ in range(3):
        await harness.poll()

    assert harness.values() == {"password": "second", "old": "first"}
    await harness.assert_idle()


async def test_an_immutable_target_is_not_written_and_the_condition_says_why(harness: MemoryHarness) -> None:
    harness.apply(target=IMMUTABLE)
    await harness.drain()

    await harness.rotate()
    await harness.poll()

    assert harness.values() == {"password": "first"}
    assert harness.ready().reason == "TargetImmutable"


async def test_an_immutable_target_is_not_replaced_if_the_user_has_changed_that_and_it_is_not_observed_yet(
    harness: MemoryHarness,
) -> None:
    harness.apply(target=IMMUTABLE | {"replaceImmutable": True})
    await harness.drain()
    harness.users.put_vault_secret(manifest(spec(target=IMMUTABLE)))

    await harness.rotate()
    await harness.poll()

    assert harness.values() == {"password": "first"}
    assert harness.kube.writes["delete_target"] == 0


async def test_an_immutable_target_is_replaced_where_the_user_wants_that(harness: MemoryHarness) -> None:
    harness.apply(target=IMMUTABLE | {"replaceImmutable": True})
    await harness.drain()
    before = await harness.kube.get_target(DB)

    await harness.rotate()
    await harness.poll()

    after = await harness.kube.get_target(DB)
    assert harness.values() == {"password": "second"}
    assert before is not None
    assert after is not None
    assert before.uid != after.uid
    assert harness.events[-1] == ("Normal", "Rotated")
    await harness.poll()
    await harness.assert_idle()


async def test_a_template_is_written_beside_the_keys_that_it_uses(harness: MemoryHarness) -> None:
    harness.apply(target={"template": {"DSN": "postgres://{{ password | url_encode }}@db"}})
    await harness.drain()
    assert harness.values() == {"password": "first", "DSN": "postgres://first@db"}

    await harness.rotate("a/b")
    await harness.poll()
    assert harness.values() == {"password": "a/b", "DSN": "postgres://a%2Fb@db"}
    await harness.poll()
    await harness.assert_idle()


def _certificate() -> str:
    leaf, root = a_line(between=0)
    return key_in_pem(leaf.key) + in_pem([leaf.certificate, root.certificate])


CERTIFICATE: dict[str, Any] = {
    "data": [],
    "dataFrom": [{"certificate": "tls"}],
    "target": {"type": "kubernetes.io/tls"},
}


async def test_a_certificate_is_converted_and_its_keys_are_checked_once_for_each_version(
    harness: MemoryHarness,
) -> None:
    harness.vault.set("tls", _certificate())
    harness.apply(**CERTIFICATE)
    await harness.drain()
    assert harness.certificates.jobs == 3
    await harness.poll()
    jobs = harness.certificates.jobs

    await harness.poll()
    await harness.poll()
    assert harness.certificates.jobs == jobs
    assert (harness.values() or {}).keys() == {"tls.crt", "tls.key"}


async def test_a_secret_without_certificates_is_no_work_for_another_process(synced: MemoryHarness) -> None:
    assert synced.certificates.jobs == 0


async def test_certificates_of_others_are_waited_for_and_do_not_count_as_a_failure(harness: MemoryHarness) -> None:
    harness.vault.set("tls", _certificate())
    harness.certificates.refusal = StillBusy(Reason.WAITING, "Others come first.")
    harness.apply(**CERTIFICATE)

    (result,) = await harness.drain()
    assert (result.waiting, result.failed) == (True, False)
    assert (harness.ready().status, harness.ready().message) == ("Unknown", "Others come first.")

    harness.certificates.refusal = None
    await harness.pass_time()
    await harness.drain()
    assert harness.ready().status == "True"


async def test_a_certificate_that_cannot_be_read_changes_no_secret(harness: MemoryHarness) -> None:
    harness.vault.set("tls", _certificate())
    harness.apply(**CERTIFICATE)
    await harness.drain()
    before = harness.values()

    harness.vault.set("tls", _certificate())
    harness.certificates.refusal = SyncError(Reason.CERTIFICATE_INVALID, "It takes too long.")
    await harness.poll()

    assert (harness.ready().reason, harness.ready().message) == ("CertificateInvalid", "It takes too long.")
    assert harness.values() == before


async def test_a_certificate_that_cannot_be_read_is_not_tried_again_until_it_changes(harness: MemoryHarness) -> None:
    harness.vault.set("tls", _certificate())
    harness.certificates.refusal = SyncError(Reason.CERTIFICATE_INVALID, "It takes too long.")
    harness.apply(**CERTIFICATE)
    await harness.drain()
    await harness.poll()
    harness.reset_counts()
    jobs = harness.certificates.jobs

    for _ in range(3):
        await harness.poll()
    assert (harness.reads, harness.certificates.jobs) == (0, jobs)
    assert harness.ready().reason == "CertificateInvalid"

    harness.certificates.refusal = None
    harness.vault.set("tls", _certificate())
    await harness.poll()
    assert harness.ready().status == "True"


async def test_a_key_whose_optional_property_vanishes_is_left_out_until_it_is_back(harness: MemoryHarness) -> None:
    harness.vault.set("app", '{"user": "scott", "password": "first"}')
    harness.apply(entry(), entry("user", "app", property="user", optional=True))
    await harness.poll()
    assert harness.values() == {"password": "first", "user": "scott"}

    harness.vault.set("app", '{"user": null}')
    await harness.poll()
    harness.reset_counts()
    await harness.reconcile()  # a key that is not written must not pass for drift

    assert harness.ready().reason == Reason.SYNCED
    assert harness.reads == 0

    harness.vault.set("app", '{"user": "tiger"}')
    await harness.poll()
    assert harness.values() == {"password": "first", "user": "tiger"}


async def test_content_is_written_as_all_readers_of_its_type_accept_it(harness: MemoryHarness) -> None:
    leaf, between, _ = a_line()
    crt, key = in_pem([leaf.certificate, between.certificate]), key_in_pem(leaf.key)
    harness.vault.set("crt", "\ufeff" + crt)
    harness.vault.set("key", key.rstrip("\n"))
    pair = [entry(key="tls.crt", secretName="crt"), entry(key="tls.key", secretName="key")]
    harness.apply(data=pair, target={"type": "kubernetes.io/tls"})

    await harness.drain()

    assert harness.values() == {"tls.crt": crt, "tls.key": key}


async def test_a_certificate_alone_is_said_in_an_event(harness: MemoryHarness) -> None:
    leaf, between, root = a_line()
    harness.vault.set("crt", in_pem([leaf.certificate]))
    harness.vault.set("key", key_in_pem(leaf.key))
    pair = [entry(key="tls.crt", secretName="crt"), entry(key="tls.key", secretName="key")]
    harness.apply(data=pair, target={"type": "kubernetes.io/tls"})

    await harness.drain()

    assert harness.events == [("Normal", "Created"), ("Warning", "ChainIncomplete")]
    assert harness.kube.events[-1].message.startswith("Key tls.crt does not hold the certificate that issued ")

    harness.vault.set("crt", in_pem([leaf.certificate, between.certificate, root.certificate]))
    await harness.poll()
    assert harness.events[2:] == [("Normal", "Rotated")]


async def test_a_missing_intermediate_is_said_in_an_event_for_each_write(harness: MemoryHarness) -> None:
    leaf, between, root = a_line()
    harness.vault.set("web", key_in_pem(leaf.key) + in_pem([leaf.certificate]))
    harness.apply(data=[], dataFrom=[{"certificate": "web"}], target={"type": "kubernetes.io/tls"})
    await harness.drain()

    assert harness.events == [("Normal", "Created"), ("Warning", "ChainIncomplete")]
    assert harness.kube.events[-1].message.startswith("Secret web of vault https://shop.vault.azure.net does not hold ")
    assert harness.ready().status == "True"

    harness.vault.set("web", key_in_pem(leaf.key) + in_pem([between.certificate, leaf.certificate, root.certificate]))
    await harness.poll()
    assert harness.events[2:] == [("Normal", "Rotated")]


def _expiring_in(harness: MemoryHarness, **ahead: float) -> str:
    """A certificate that expires in that time, as PEM."""
    end = (harness.clock() + timedelta(**ahead)).replace(microsecond=0)
    return in_pem([a_party("localhost", ca=False, end=end).certificate])


async def test_an_expired_certificate_in_a_plain_secret_is_reported(harness: MemoryHarness) -> None:
    harness.vault.set("web", _expiring_in(harness, days=-2))
    harness.apply(entry("tls.crt", "web"))
    for _ in range(3):
        await harness.poll()

    expiring, (one,) = harness.condition("Expiring"), harness.status().entries
    assert (harness.ready().status, expiring.status, expiring.reason) == ("True", "True", "Expired")
    assert expiring.message.startswith("The certificate in secret web, which fills key tls.crt, expired at ")
    assert (one.expires, one.certificate_expires, harness.status().expires) == (
        None,
        one.certificate_expires,
        one.certificate_expires,
    )
    assert ("Warning", "Expired") in harness.events

    jobs = harness.certificates.jobs
    harness.reset_counts()
    await harness.restart()
    await harness.poll()
    await harness.poll()
    assert (harness.reads, harness.certificates.jobs, harness.writes) == (0, jobs, {})
    assert harness.condition("Expiring").reason == "Expired"

    harness.vault.set("web", _expiring_in(harness, days=300))
    await harness.poll()
    assert harness.condition("Expiring").reason == "FarFromExpiry"
    await harness.poll()
    await harness.assert_idle()


async def test_the_vaults_own_date_of_a_certificate_counts_if_it_is_earlier(harness: MemoryHarness) -> None:
    harness.vault.set("web", _expiring_in(harness, days=10), expires_on=harness.clock() + timedelta(days=3))
    harness.apply(entry("tls.crt", "web"))
    await harness.drain()

    expiring = harness.condition("Expiring")
    assert (expiring.reason, expiring.message[:10]) == ("ExpiresSoon", "Secret web")


async def test_a_certificate_becomes_expired_without_a_read(harness: MemoryHarness) -> None:
    harness.vault.set("web", _expiring_in(harness, days=10))
    harness.apply(entry("tls.crt", "web"))
    await harness.drain()
    assert harness.condition("Expiring").reason == "ExpiresSoon"

    await harness.pass_time(timedelta(days=10).total_seconds())
    await harness.drain()

    assert harness.condition("Expiring").reason == "Expired"


async def test_a_certificate_whose_date_cannot_be_found_is_synced(harness: MemoryHarness) -> None:
    harness.vault.set("web", _expiring_in(harness, days=1))
    harness.apply(entry("tls.crt", "web"))
    await harness.drain()
    harness.certificates.refusal = SyncError(Reason.INTERNAL_ERROR, "The process was killed.")

    harness.apply(entry("tls.crt", "web"), target={"labels": {"team": "shop"}})
    await harness.drain()
    assert harness.condition("Expiring").reason == "ExpiresSoon"  # the version is the same
    following = _expiring_in(harness, days=-1)
    harness.vault.set("web", following)
    await harness.poll()

    assert (harness.values(), harness.ready().status) == ({"tls.crt": following}, "True")
    assert harness.condition("Expiring").reason == "FarFromExpiry"


async def test_the_date_of_a_certificate_waits_for_those_of_others(harness: MemoryHarness) -> None:
    harness.vault.set("web", _expiring_in(harness, days=-1))
    harness.certificates.refusal = StillBusy(Reason.WAITING, "Others come first.")
    harness.apply(entry("tls.crt", "web"))
    await harness.drain()
    assert (harness.values(), harness.ready().reason) == (None, "Waiting")

    harness.certificates.refusal = None
    await harness.pass_time()
    await harness.drain()
    assert harness.condition("Expiring").reason == "Expired"


async def test_a_certificate_in_a_field_of_an_object_has_its_own_key(harness: MemoryHarness) -> None:
    harness.vault.set("web", json.dumps({"user": "app", "crt": _expiring_in(harness, days=-1)}))
    harness.apply(data=[], dataFrom=[{"object": "web"}])
    await harness.drain()

    assert {one.key: one.certificate_expires is not None for one in harness.status().entries} == {
        "user": False,
        "crt": True,
    }
    assert "which fills key crt, expired" in harness.condition("Expiring").message


NAMED = {"rename": "shop-(?P<key>.*)", "keyCase": "UpperSnake", "keys": {"shop-dsn": "url"}, "prefix": "APP_"}


async def test_keys_of_a_spec_that_leaves_names_out_go_at_once(harness: MemoryHarness) -> None:
    harness.vault.set("app", '{"user": "app", "tmp": "x"}')
    for name in ("shop-user", "shop-dsn", "shop-tmp"):
        harness.vault.set(name, name)
    sources: list[dict[str, Any]] = [{"object": "app", "keyCase": "Upper"}, {**FIND, **NAMED}]
    harness.apply(data=[], dataFrom=sources)
    await harness.poll()
    assert (harness.values() or {}).keys() == {"USER", "TMP", "APP_USER", "url", "APP_TMP"}

    harness.apply(data=[], dataFrom=[{**source, "omit": ["tmp", "shop-tmp", "shop-dsn"]} for source in sources])
    await harness.drain()

    assert harness.values() == {"USER": "app", "APP_USER": "shop-user"}
    assert harness.ready().reason == "Synced"
    assert harness.status().left_out is None
    await harness.poll()
    await harness.assert_idle()


@pytest.mark.parametrize("search", [{"managed": False}, {"tags": {"tier": "web"}}, {"names": "shop-w*"}], ids=str)
async def test_keys_of_a_spec_that_selects_less_go_at_once(harness: MemoryHarness, search: dict[str, Any]) -> None:
    harness.vault.set("shop-web", "app", tags={"tier": "web"})
    harness.vault.set("shop-tls", "x", managed=True)
    harness.apply(data=[], dataFrom=[FIND])
    await harness.poll()
    harness.clock.turn(60)
    await harness.poll()
    assert harness.values() == {"shop-web": "app", "shop-tls": "x"}

    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*", **search}}])
    await harness.drain()

    assert harness.values() == {"shop-web": "app"}
    assert harness.ready().message == "1 key is in sync."
    await harness.poll()
    await harness.assert_idle()


async def test_a_key_is_kept_if_its_secret_has_changed_with_the_spec_that_selects_it_no_longer(
    harness: MemoryHarness,
) -> None:
    """Whether it would match as it was is not known: the tag may have been removed by mistake."""
    harness.vault.set("shop-web", "app", tags={"tier": "web"})
    harness.vault.set("shop-user", "x", tags={"tier": "web"})
    harness.apply(data=[], dataFrom=[FIND])
    await harness.poll()

    harness.clock.turn(60)
    harness.vault.tag("shop-user", {})
    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*", "tags": {"tier": "web"}}}])
    await harness.poll()

    assert harness.values() == {"shop-web": "app", "shop-user": "x"}


async def test_keys_of_lost_secrets_are_kept_whatever_made_them_of_their_names(harness: MemoryHarness) -> None:
    for name in ("shop-user", "shop-dsn", "shop-old"):
        harness.vault.set(name, name)
    harness.apply(data=[], dataFrom=[{**FIND, **NAMED}])
    await harness.poll()

    harness.vault.delete("shop-dsn")
    harness.vault.delete("shop-old")
    await harness.poll()
    harness.apply(data=[], dataFrom=[{**FIND, **NAMED, "omit": ["shop-old"]}])
    await harness.poll()
    assert harness.values() == {"APP_USER": "shop-user", "url": "shop-dsn"}

    await harness.pass_time(3600 + 121)
    await harness.drain()
    assert harness.values() == {"APP_USER": "shop-user"}
