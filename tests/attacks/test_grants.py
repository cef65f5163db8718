"""Grants: tenants who want more than they were granted, and moments in which what is granted is not known.

The tenant writes VaultSecrets in his namespace. Who labels a namespace can give it what is granted by labels, and no
more. Where an attack must not cause a call, none of any kind reaches the vault.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import pytest

from tests.attacks.tenants import Tenants
from tests.attacks.test_forgery import forge_status
from tests.builders import EVERYTHING, Tweak, a_grant, an_access
from tests.harness import Line, MemoryHarness, entry
from vaultsync.adapters.kube import Forbidden, NotInstalled
from vaultsync.api import RELEASE_ANNOTATION, ObjectKey
from vaultsync.api.grants import VaultGrant
from vaultsync.api.model import InvalidSpec
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.grants import decide
from vaultsync.policy.guards import GRANT_DELAY
from vaultsync.policy.revocation import DELETED_AFTER
from vaultsync.state.globs import _matcher, matches_any
from vaultsync.state.grants import GrantView
from vaultsync.state.snapshots import ClusterKind

HOUR: Final = 3600.0
FIND: Final[Line] = {"find": {"names": "*"}}
LOST: Final = [f"shop-{number}" for number in range(6)]
"""So many that the deletion guard trips."""


class Granted(Tenants):
    """Tenants whose grants the operator watches; nothing is granted unless a test grants it."""

    def grant(self, vault_url: str) -> None:
        """Grant nothing: what a tenant requests is not a grant."""

    async def start(self, observed: Sequence[str]) -> None:
        await super().start(observed)
        self.run_beside(self.controller.grants.run())
        await self.settle()

    async def administer(self, *grants: VaultGrant) -> None:
        """Have these grants and no others, as an administrator; the watch reports it."""
        for name in {one.metadata.name for one in self.grants} - {one.metadata.name for one in grants}:
            self.kube.delete_cluster(ClusterKind.GRANTS, name)
        for one in grants:
            self.kube.put_grant(one.metadata.name, one.spec.to_wire())
        self.grants = list(grants)
        await self.settle()

    async def label(self, namespace: str, **labels: str) -> None:
        """Label a namespace; the watch reports it."""
        self.kube.put_namespace(namespace, labels)
        await self.settle()

    async def pass_time(self, seconds: float = 60) -> None:
        """Advance the clock by that time, in at most 40 steps."""
        step = max(10.0, seconds / 40)
        while seconds > 0:
            await MemoryHarness.pass_time(self, min(seconds, step))
            await self.settle()
            seconds -= step

    async def refuse(self) -> None:
        """Wait until refusals are reported."""
        await self.settle()
        await self.pass_time(GRANT_DELAY)

    def message(self, namespace: str, name: str = "db") -> str:
        (text,) = (one.message for one in self.status_in(namespace, name).conditions if one.type == "Ready")
        return text

    def is_untouched(self) -> bool:
        """Whether nothing was asked of any vault, and nothing is kept of one."""
        kept = self.kept_per_vault()
        nothing = not any(kept[kind] for kind in ("pollers", "clients", "users", "series"))
        return nothing and not self.vault.calls and not self.polls

    def everything_in(self, namespace: str, name: str = "db") -> str:
        """Return all that the operator tells a tenant, without what differs between two objects."""
        status = self.status_in(namespace, name).to_wire()
        events = [event.message for event in self.kube.events if event.key.namespace == namespace]
        return str((status, events, self.values_in(namespace, name)))


@pytest.fixture
async def tenants() -> AsyncIterator[Granted]:
    """Yield an operator that runs; there is neither a grant nor a VaultSecret yet."""
    tenants = Granted()
    await tenants.start([])
    await tenants.administer()
    tenants.reset_counts()
    yield tenants
    await tenants.aclose()


def everything(name: str = "shop", **spec: Tweak) -> VaultGrant:
    return a_grant(name, **{**EVERYTHING, **spec})


def names(*names: str) -> dict[str, Tweak]:
    return {"namespaces": {"names": list(names)}}


def find(pattern: str = "*") -> dict[str, Any]:
    return {"data": None, "dataFrom": [{"find": {"names": pattern}}]}


# What matches


@pytest.mark.parametrize(
    ("granted", "namespace"),
    [
        ("shop", "shop-evil"),
        ("shop", "evil-shop"),
        ("shop", "sho"),
        ("shop-?", "shop-12"),
        ("shop-?", "shop-"),
        ("*-shop", "shop"),
        ("*-shop", "my-shop-evil"),
        ("shop-*-prod", "shop-prod"),
        ("?", "ab"),
    ],
)
async def test_a_namespace_with_a_similar_name_is_not_granted_anything(
    tenants: Granted, granted: str, namespace: str
) -> None:
    """A tenant gets a namespace whose name looks like, begins with or ends in that of a grant."""
    await tenants.administer(everything(**names(granted)))
    tenants.request(namespace)
    await tenants.refuse()

    assert tenants.ready_reason(namespace) == Reason.NOT_GRANTED
    assert tenants.is_untouched()


@pytest.mark.parametrize(
    "asks",
    [
        {"data": [entry(name="hidden")]},
        {"data": [entry(name="HIDDEN")]},
        {"data": [entry(name="hidden", version="0f4a7c9be2d84a6c8c1f7e5d3b2a1908")]},
        {"data": [entry(name="hidden", previousKey="before")]},
        {"data": [entry(name="hidden", optional=True)]},
        {"data": [entry(), entry("other", "hidden")]},
        {"dataFrom": [{"object": "hidden"}]},
        {"dataFrom": [{"certificate": "hidden", "optional": True}], "target": {"type": "kubernetes.io/tls"}},
        {"dataFrom": [FIND, {"object": "hidden", "optional": True}]},
    ],
)
async def test_no_way_to_name_an_ungranted_secret_reads_it(tenants: Granted, asks: dict[str, Any]) -> None:
    """A tenant names a secret that is not granted: in another case, by version, as an object or as a certificate."""
    tenants.vault.set("hidden", "MARKED")
    await tenants.administer(everything(secrets=["db-*", "hidde", "hidden-*", "?idden?"]))
    tenants.request("shop", **asks)
    await tenants.refuse()
    await tenants.pass_time(HOUR)

    assert tenants.ready_reason("shop") == Reason.NOT_GRANTED
    assert tenants.is_untouched()


@pytest.mark.parametrize(
    "name",
    ["shop%2Dx", "shop-x\n", "shop/../hidden", "hidden?", "shop-x ", "\uff53hop-x", "\u212aey", "shop-\u200dx", ""],
)
async def test_a_name_in_disguise_matches_nothing(tenants: Granted, name: str) -> None:
    """A tenant writes a secret's name with escapes, blanks, paths or letters of other scripts."""
    await tenants.administer(everything())
    with pytest.raises(InvalidSpec):
        tenants.request("shop", entry(name=name))

    assert tenants.is_untouched()


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.net.",
        "https://shop.vault.azure.net:8443",
        "https://shop.vault.azure.net:80",
        "https://shop.vault.azure.net@evil.vault.azure.net",
        "https://user:password@shop.vault.azure.net",
        "https://shop.vault.azure.net.evil.net",
        "https://shop-vault.vault.azure.net",
        "https://evil.shop.vault.azure.net",
        "https://shop.vault.azure.cn",
        "https://shop.vault.azure.net%2eevil.net",
        "https://shop.vault.azure.net/?@evil.net",
        "https://sh\u043ep.vault.azure.net",
        "http://shop.vault.azure.net",
    ],
)
async def test_a_vault_that_looks_like_the_granted_one_is_not_called(tenants: Granted, url: str) -> None:
    """A tenant names a vault of his own whose URL looks like the granted one's, to be sent a token or a request."""
    await tenants.administer(everything())
    with suppress(InvalidSpec):
        tenants.request("shop", vaultUrl=url)
    await tenants.refuse()

    assert tenants.state.vaultsecrets.granted(ObjectKey("shop", "db")) is None
    assert tenants.is_untouched()


@pytest.mark.parametrize("label", ["app.kubernetes.io/instance", "argocd.argoproj.io/instance", "a.example/b"])
async def test_a_label_that_is_copied_needs_the_grant_of_one_that_is_written(tenants: Granted, label: str) -> None:
    """A tenant has the Secret follow a label of the VaultSecret by which another controller acts on it."""
    tenants.vault.set("db-password", "first")
    await tenants.administer(everything(**names("shop"), allow={"adopt": True}))
    tenants.request("shop", labels={label: "platform"}, target={"copyLabels": [label]})
    await tenants.refuse()

    assert tenants.ready_reason("shop") == Reason.NOT_GRANTED
    assert label in tenants.message("shop")
    assert tenants.is_untouched()


async def test_grants_of_two_identities_do_not_add_up(tenants: Granted) -> None:
    """A tenant combines a secret of one identity's grant with one of another's in one VaultSecret."""
    managed = {"managedIdentity": {"clientId": "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11"}}
    await tenants.administer(
        everything("own", secrets=["db-*"]), everything("other", secrets=["api-*"], identity=managed)
    )
    tenants.request("shop", entry(), entry("other", "api-token"))
    await tenants.refuse()

    assert tenants.ready_reason("shop") == Reason.NOT_GRANTED
    assert tenants.is_untouched()


# Labels of namespaces


@pytest.mark.parametrize(
    "requirement",
    [{"key": "team", "operator": "NotIn", "values": ["a"]}, {"key": "team", "operator": "DoesNotExist"}],
)
async def test_labels_that_are_not_known_do_not_meet_a_requirement_that_one_is_missing(
    tenants: Granted, requirement: dict[str, Any]
) -> None:
    """A tenant uses the moment in which the operator does not know, or may not list, the labels of his namespace."""
    await tenants.administer(everything(namespaces={"selector": {"matchExpressions": [requirement]}}))
    tenants.request("shop")
    await tenants.refuse()
    assert tenants.ready_reason("shop") == Reason.NOT_GRANTED
    assert tenants.is_untouched()

    await tenants.label("shop", **({"team": "b"} if "values" in requirement else {}))
    assert tenants.values_in("shop") == {"password": "first"}


async def test_a_namespace_that_is_relabelled_loses_what_its_label_gave(tenants: Granted) -> None:
    """A namespace keeps its VaultSecrets after it was given to another team."""
    await tenants.administer(everything(namespaces={"names": ["*"], "selector": {"matchLabels": {"team": "shop"}}}))
    await tenants.label("web", team="shop")
    tenants.request("web")
    await tenants.settle()
    await tenants.label("web", team="web")
    await tenants.rotate()
    tenants.reset_counts()

    await tenants.pass_time(HOUR)

    assert tenants.values_in("web") == {"password": "first"}
    assert tenants.is_untouched()


async def test_a_namespace_that_is_relabelled_to_and_fro_loses_no_secret(tenants: Granted) -> None:
    """Who labels a namespace toggles its label, to have the operator delete Secrets of others there."""
    selector = {"selector": {"matchLabels": {"team": "shop"}}}
    await tenants.administer(everything(namespaces=selector, onRevoked="Delete"))
    for _ in range(3):
        await tenants.label("web", team="shop")
        tenants.request("web")
        await tenants.settle()
        await tenants.label("web")
        await tenants.pass_time(DELETED_AFTER - 10)

    assert tenants.values_in("web") == {"password": "first"}


# What messages and numbers reveal


@pytest.mark.parametrize(
    ("spec", "granted"),
    [
        ({"data": [entry(name="hidden-1")]}, {}),
        ({"data": [entry(name="hidden-1"), entry("b", "hidden-9")]}, {}),
        (find(), {"secrets": ["nothing-*"]}),
        (find("hidden-*"), {}),
        (find(), {"quota": {"foundSecrets": 1}}),
        (find(), {}),
        ({"data": None, "dataFrom": [{"find": {"tags": {"team": "hidden"}}}]}, {}),
        ({"data": [entry(name="shop-absent")]}, {}),
    ],
)
async def test_nothing_tells_whether_an_ungranted_secret_exists(
    tenants: Granted, spec: dict[str, Any], granted: dict[str, Any]
) -> None:
    """A tenant compares what he can read with and without ungranted secrets: conditions, events, numbers, keys."""
    for number in range(3):
        tenants.vault.set(f"shop-{number}", "x")
    readable = {}
    for namespace in ("before", "after"):
        await tenants.administer(everything(**{"secrets": ["shop-*"], **granted}))
        tenants.request(namespace, **spec)
        await tenants.pass_time(300)
        readable[namespace] = tenants.everything_in(namespace)
        tenants.withdraw(namespace)
        await tenants.administer()
        for number in range(3):
            tenants.vault.set(f"hidden-{number}", "MARKED" * 100_000, tags={"team": "hidden"})
        tenants.vault.disable("hidden-2")

    assert _timeless(readable["before"]) == _timeless(readable["after"])
    assert "MARKED" not in readable["after"]


async def test_a_search_of_a_vault_full_of_others_secrets_is_not_too_large(tenants: Granted) -> None:
    """A tenant learns from TargetTooLarge or QuotaExceeded how much the vault has that he must not see."""
    for number in range(20):
        tenants.vault.set(f"hidden-{number}", "x" * 100_000)
    await tenants.administer(everything(secrets=["db-*"], quota={"foundSecrets": 1}))
    tenants.request("shop", **find())
    await tenants.pass_time(120)

    assert tenants.values_in("shop") == {"db-password": "first"}
    assert tenants.status_in("shop").left_out is None


async def test_a_forged_annotation_does_not_have_an_ungranted_secret_read(tenants: Granted) -> None:
    """A tenant who may write Secrets records that his search found a secret which is not granted."""
    tenants.vault.set("hidden", "MARKED")
    await tenants.administer(everything(secrets=["db-*"], onRevoked="Delete"))
    tenants.request("shop", **find())
    await tenants.pass_time(120)
    key, target = ObjectKey("shop", "db"), tenants.kube.without_data(ObjectKey("shop", "db"))
    assert target is not None
    (annotation,) = target["metadata"]["annotations"].items()
    forged = annotation[1].replace("db-password", "hidden")
    tenants.kube.edit(key, "vaultsync", annotations={annotation[0]: forged})
    tenants.reset_counts()

    await tenants.pass_time(HOUR)

    assert tenants.vault.calls["get_deleted"] == 0
    assert "MARKED" not in str(tenants.values_in("shop"))
    assert tenants.values_in("shop") == {"db-password": "first"}


# What tenants share


async def test_a_tenants_interval_does_not_make_another_grant_poll(tenants: Granted) -> None:
    """A tenant polls every 10 seconds, at the expense of another grant's budget and vault."""
    await tenants.administer(everything("a", **names("attacker")), everything("b", **names("victim")))
    tenants.request("victim", refreshInterval="1h")
    tenants.request("attacker", refreshInterval="10s")
    await tenants.pass_time(300)
    polls = {grant: tenants.state.vaults.view(an_access(grant=grant)).polls for grant in ("a", "b")}

    assert polls["a"] > 20
    assert polls["b"] <= 1


async def test_a_cached_value_of_one_grant_is_not_returned_to_another(tenants: Granted) -> None:
    """A tenant reads a secret in the two seconds in which another tenant's read of it is cached."""
    await tenants.administer(everything("a", **names("victim")), everything("b", **names("attacker")))
    tenants.request("victim")
    tenants.request("attacker")
    await tenants.settle()

    assert tenants.vault.calls["get"] == 2


async def test_a_tenants_losses_do_not_hold_the_deletions_of_another_grant(tenants: Granted) -> None:
    """A tenant deletes most of his secrets, so that the deletion guard trips and keeps the keys of all tenants."""
    await _lose(tenants, attacker=LOST, victim=["db-password"])
    await tenants.pass_time(2 * HOUR)

    assert tenants.ready_reason("attacker") == Reason.DELETION_HELD
    assert tenants.values_in("victim") is None


async def test_a_tenants_release_does_not_release_another_grants_deletions(tenants: Granted) -> None:
    """A tenant releases his own lost secrets, to have the deletion guard let those of others go."""
    await _lose(tenants, attacker=LOST, victim=LOST)
    moment = tenants.clock.now.isoformat()
    tenants.request("attacker", *_entries(LOST), onSourceDeleted="Delete", annotations={RELEASE_ANNOTATION: moment})
    await tenants.pass_time(2 * HOUR)

    assert tenants.values_in("attacker") is None
    assert tenants.values_in("victim") == dict.fromkeys(LOST, "x")


async def test_a_more_specific_grant_does_not_release_deletions_that_are_held(tenants: Granted) -> None:
    """Who labels a namespace gives it a grant of its own, by which too few secrets are lost to trip the guard."""
    for name in LOST:
        tenants.vault.set(name, "x")
    await tenants.administer(everything("all"))
    for namespace, lost in (("victim", LOST[:2]), ("web", LOST[2:])):
        tenants.request(namespace, *_entries(lost), onSourceDeleted="Delete")
    await tenants.pass_time(120)
    for name in LOST:
        tenants.vault.delete(name)
    await tenants.pass_time(120)
    assert tenants.ready_reason("victim") == Reason.DELETION_HELD

    await tenants.administer(everything("all"), everything("own", **names("victim")))
    await tenants.pass_time(4 * HOUR)

    assert tenants.ready_reason("victim") == Reason.DELETION_HELD
    assert tenants.values_in("victim") == dict.fromkeys(LOST[:2], "x")
    for name in LOST:
        tenants.vault.recover(name)
    await tenants.pass_time(300)
    assert tenants.ready_reason("victim") == Reason.SYNCED


async def test_a_refusal_does_not_use_up_the_grace_period_of_a_lost_secret(tenants: Granted) -> None:
    """Who revokes a grant for an hour has keys deleted at once whose secrets were back, and are lost once more."""
    tenants.vault.set("kept", "x")
    await tenants.administer(everything())
    tenants.request("shop", entry(), entry("kept", "kept"), onSourceDeleted="Delete", deleteAfter="1h")
    await tenants.pass_time(120)
    tenants.vault.delete("db-password")
    await tenants.pass_time(120)
    await tenants.administer()
    tenants.vault.recover("db-password")
    await tenants.pass_time(2 * HOUR)
    tenants.vault.delete("db-password")
    await tenants.administer(everything())
    await tenants.pass_time(300)

    assert tenants.values_in("shop") == {"password": "first", "kept": "x"}
    await tenants.pass_time(HOUR)
    assert tenants.values_in("shop") == {"kept": "x"}


# Quotas


async def test_what_exceeds_a_quota_costs_the_vault_nothing(tenants: Granted) -> None:
    """A tenant creates more VaultSecrets than his quota allows, each with a refresh that is requested again."""
    await tenants.administer(everything(quota={"vaultSecrets": 1}))
    tenants.request("shop", name="a")
    await tenants.pass_time(1)
    tenants.reset_counts()
    for number in range(20):
        tenants.request("shop", name=f"b-{number}", refreshInterval="10s")
    await tenants.refuse()

    assert {tenants.ready_reason("shop", f"b-{number}") for number in range(20)} == {Reason.QUOTA_EXCEEDED}
    assert tenants.reads == 0
    assert tenants.state.vaultsecrets.users(an_access()) == {ObjectKey("shop", "a")}


@pytest.mark.parametrize("trick", ["create again", "suspend", "rename", "ask for less"])
async def test_a_quota_of_vaultsecrets_is_not_evaded(tenants: Granted, trick: str) -> None:
    """A tenant gets more VaultSecrets served than his quota allows: by a new object, a suspension, another name."""
    await tenants.administer(everything(quota={"vaultSecrets": 2}))
    for name in ("a", "b", "c"):
        tenants.request("shop", name=name)
        await tenants.pass_time(1)
    match trick:
        case "create again":
            tenants.withdraw("shop", "c")
            tenants.request("shop", name="c")
        case "suspend":
            tenants.request("shop", name="a", suspend=True)
        case "rename":
            tenants.request("shop", name="0")
        case _:
            tenants.request("shop", entry(name="absent", optional=True), name="c")
    await tenants.refuse()

    assert tenants.values_in("shop", "c") is None
    assert tenants.values_in("shop", "0") is None


async def test_a_change_of_grants_serves_no_more_than_the_quota(tenants: Granted) -> None:
    """A tenant uses the moment in which a new grant counts his VaultSecrets: those that exceed it are served first."""
    await tenants.administer(everything("old", quota={"vaultSecrets": 150}))
    for number in range(400):
        tenants.request("shop", name=f"db-{number:03}")
    await tenants.refuse()
    await tenants.pass_time(60)
    await tenants.administer(
        everything("old", quota={"vaultSecrets": 150}), everything(quota={"vaultSecrets": 150}, **names("shop"))
    )
    await tenants.pass_time(60)

    assert sum(tenants.values_in("shop", f"db-{number:03}") is not None for number in range(400)) == 150


# Refusals


async def test_changes_in_a_loop_neither_hide_a_refusal_nor_ask_the_vault(tenants: Granted) -> None:
    """A tenant changes his VaultSecret every second, so that it is for ever waiting for a grant."""
    for number in range(20):
        tenants.request("shop", entry(f"key-{number}"))
        await tenants.pass_time(1)

    assert tenants.ready_reason("shop") == Reason.NOT_GRANTED
    assert tenants.is_untouched()


async def test_a_restart_of_the_operator_reads_nothing_for_who_is_refused(tenants: Granted) -> None:
    """A tenant has the operator end, and reads before it knows the grants again."""
    await tenants.administer(everything())
    tenants.request("shop")
    await tenants.settle()
    await tenants.administer()
    await tenants.refuse()
    await tenants.rotate()
    tenants.names.append("db")
    await tenants.restart()
    tenants.reset_counts()
    await tenants.pass_time(HOUR)

    assert tenants.ready_reason("shop") == Reason.NOT_GRANTED
    assert tenants.values_in("shop") == {"password": "first"}
    assert tenants.is_untouched()


async def test_a_vaultsecret_that_is_refused_restarts_nothing(tenants: Granted) -> None:
    """A tenant has a Secret written, and the workload restarted after his grant has gone."""
    key = ObjectKey("shop", "web")
    await tenants.administer(everything())
    tenants.request("shop", restart=[{"kind": "Deployment", "name": "web"}])
    await tenants.settle()
    await tenants.pass_time(60)
    tenants.kube.make_workload(WorkloadKind.DEPLOYMENT, key)
    await tenants.rotate()
    while tenants.values_in("shop") == {"password": "first"}:
        await tenants.pass_time(1)
    await tenants.administer()
    await tenants.pass_time(HOUR)

    assert tenants.kube.restarts == []


# Revocation


async def test_a_grant_that_is_revoked_while_a_certificate_is_converted_writes_nothing(
    tenants: Granted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant keeps a conversion going until his grant is revoked, to get what was read before."""
    await tenants.administer(everything())
    tenants.request("shop")
    await tenants.settle()
    await tenants.rotate()
    convert = tenants.certificates.convert

    async def revoked_meanwhile(*arguments: Tweak) -> object:
        await tenants.controller.source.handle_grants(GrantView())
        return await convert(*arguments)

    monkeypatch.setattr(tenants.certificates, "convert", revoked_meanwhile)
    await tenants.pass_time(61)

    assert tenants.values_in("shop") == {"password": "first"}


async def test_a_grant_that_is_revoked_between_listing_and_reading_reads_nothing(tenants: Granted) -> None:
    """A tenant's search has its listing when the grant is narrowed: what it found is not read."""
    await tenants.administer(everything())
    tenants.request("shop", **find())
    await tenants.pass_time(120)
    tenants.vault.set("hidden", "MARKED")
    tenants.kube.put_grant("shop", everything(secrets=["db-*"]).spec.to_wire())
    tenants.reset_counts()
    await tenants.pass_time(120)

    assert tenants.values_in("shop") == {"db-password": "first"}
    assert tenants.vault.calls["get"] == 0


async def test_a_grant_that_is_revoked_while_deletions_are_held_deletes_nothing(tenants: Granted) -> None:
    """Most secrets of a vault are lost, and a user revokes and restores the grant in order to release them."""
    await _lose(tenants, victim=LOST)
    for _ in range(3):
        grants = tenants.grants
        await tenants.administer()
        await tenants.pass_time(120)
        await tenants.administer(*grants)
        await tenants.pass_time(2 * HOUR)

    assert tenants.values_in("victim") == dict.fromkeys(LOST, "x")


async def test_a_narrowed_grant_that_is_put_back_removes_no_key(tenants: Granted) -> None:
    """A tool deletes one of two grants in order to create it again, while a search uses the secrets of both."""
    tenants.vault.set("api-token", "x")
    both = everything("one", secrets=["db-*"], onRevoked="Delete"), everything("two", secrets=["api-*"])
    await tenants.administer(*both)
    tenants.request("shop", **find())
    await tenants.pass_time(120)
    await tenants.administer(both[0])
    await tenants.pass_time(DELETED_AFTER - 5)
    assert tenants.values_in("shop") == {"db-password": "first", "api-token": "x"}
    await tenants.administer(*both)
    await tenants.pass_time(300)
    assert tenants.values_in("shop") == {"db-password": "first", "api-token": "x"}
    assert tenants.ready_reason("shop") == Reason.SYNCED

    await tenants.administer(both[0])
    await tenants.pass_time(300)

    assert tenants.values_in("shop") == {"db-password": "first"}


async def test_a_watch_that_is_behind_removes_no_key(tenants: Granted) -> None:
    """The API server cuts the operator's watch off after it reported a narrower grant, which was put back since."""
    tenants.vault.set("api-token", "x")
    await tenants.administer(everything(onRevoked="Delete"))
    tenants.request("shop", **find())
    await tenants.pass_time(120)
    narrow = everything(secrets=["db-*"], onRevoked="Delete")
    await tenants.controller.source.handle_grants(GrantView({"shop": narrow}, tenants.state.grants.view.labels))
    await tenants.pass_time(300)

    assert tenants.values_in("shop") == {"db-password": "first", "api-token": "x"}


def _not_installed(*_: object) -> object:
    raise NotInstalled("The CustomResourceDefinition of VaultGrants is not installed.")


def _denied(*_: object) -> object:
    raise Forbidden(Reason.CLUSTER_UNAVAILABLE, "vaultsync may not list it.")


def _broken(*_: object) -> object:
    raise SyncError(Reason.CLUSTER_UNAVAILABLE, "HTTP 500")


@pytest.mark.parametrize("fault", [_not_installed, _denied, _broken])
@pytest.mark.parametrize("before", [False, True], ids=["after the revocation", "instead of it"])
async def test_grants_that_cannot_be_listed_delete_nothing(
    tenants: Granted, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., object], before: bool
) -> None:
    """A user deletes the CustomResourceDefinition, or a role, or breaks the API server, as if all was revoked."""
    await tenants.administer(everything(onRevoked="Delete"))
    tenants.request("shop")
    await tenants.settle()

    async def failing(*arguments: object) -> object:
        return fault(*arguments)

    monkeypatch.setattr(tenants.kube, "list_cluster", failing)
    if before:
        tenants.kube.end_watches()
    else:
        await tenants.administer()
    await tenants.pass_time(HOUR)

    assert tenants.values_in("shop") == {"password": "first"}
    assert tenants.recorded.errors == []
    assert (tenants.ready_reason("shop") == Reason.SYNCED) is before


async def test_namespaces_that_may_not_be_listed_do_not_protect_what_names_have_granted(
    tenants: Granted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In namespaced mode, labels are not readable: a grant by name is revoked all the same."""
    await tenants.administer(everything(onRevoked="Delete"))
    tenants.request("shop")
    await tenants.settle()
    listed = tenants.kube.list_cluster

    async def denied(kind: ClusterKind, name: str | None = None) -> object:
        return _denied() if kind is ClusterKind.NAMESPACES else await listed(kind, name)

    monkeypatch.setattr(tenants.kube, "list_cluster", denied)
    await tenants.administer()
    await tenants.pass_time(120)

    assert tenants.values_in("shop") is None


@pytest.mark.parametrize("selected", ["label", "unreadable grant"])
async def test_what_a_grant_allows_that_is_not_known_is_not_revoked(
    tenants: Granted, monkeypatch: pytest.MonkeyPatch, selected: str
) -> None:
    """A user denies labels, or rolls the operator back to a version that cannot read a grant, to have it revoked."""
    grant = everything(namespaces={"selector": {"matchLabels": {"team": "shop"}}}, onRevoked="Delete")
    await tenants.administer(grant)
    await tenants.label("shop", team="shop")
    tenants.request("shop")
    await tenants.settle()
    if selected == "label":
        listed = tenants.kube.list_cluster

        async def denied(kind: ClusterKind, name: str | None = None) -> object:
            return _denied() if kind is ClusterKind.NAMESPACES else await listed(kind, name)

        monkeypatch.setattr(tenants.kube, "list_cluster", denied)
        await tenants.controller.source.handle_grants(GrantView(tenants.state.grants.view.grants, {}))
    else:
        tenants.kube.put_grant("shop", {**grant.spec.to_wire(), "secrets": ["regex:.*"]})
        await tenants.settle()
    await tenants.pass_time(HOUR)

    assert tenants.values_in("shop") == {"password": "first"}


async def test_a_forged_status_does_not_have_the_secret_of_another_deleted(tenants: Granted) -> None:
    """A tenant claims in the status of his refused VaultSecret that another's Secret was written for it."""
    await tenants.administer(everything(**names("shop")))
    tenants.request("shop", name="victims")
    await tenants.settle()
    await tenants.pass_time(10)
    tenants.request(
        "shop", entry(name="x"), name="db", vaultUrl="https://other.vault.azure.net", target={"name": "victims"}
    )
    await tenants.refuse()
    await forge_status(tenants, grant={"name": "gone", "onRevoked": "Delete"}, target={"name": "victims"})
    await tenants.pass_time(HOUR)

    assert tenants.values_in("shop", "victims") == {"password": "first"}


@pytest.mark.parametrize(
    "asks", [{"data": [entry(name="hidden")]}, {"suspend": True}, {"restart": [{"kind": "Deployment", "name": "web"}]}]
)
async def test_a_request_for_more_is_no_revocation(tenants: Granted, asks: dict[str, Any]) -> None:
    """A tenant asks for what is not granted, so that the operator deletes the Secret that others use."""
    await tenants.administer(a_grant(onRevoked="Delete", secrets=["db-*"]))
    tenants.request("shop")
    await tenants.settle()
    tenants.request("shop", **asks)
    await tenants.pass_time(HOUR)

    assert tenants.values_in("shop") == {"password": "first"}


# Cost


async def test_a_changed_grant_decides_only_what_it_is_for(tenants: Granted, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 1,000 grants of a vault changes again and again, with 2,000 VaultSecrets, to hold up the event loop."""
    grants = [everything(f"g-{number}", **names(f"ns-{number}", f"ns-{number}-*")) for number in range(1000)]
    await tenants.administer(*grants)
    for number in range(1000):
        for name in ("a", "b"):
            tenants.request(f"ns-{number}", name=name, suspend=True)
    await tenants.settle()
    decided: list[str] = []

    def counted(one: Tweak, view: GrantView) -> object:
        decided.append(one.key.namespace)
        return decide(one, view)

    monkeypatch.setattr("vaultsync.sources.vaultsecrets.decide", counted)
    for _ in range(10):
        tenants.kube.put_grant("g-7", everything("g-7", secrets=["x"], **names("ns-7", "ns-7-*")).spec.to_wire())
        tenants.kube.put_grant("g-7", grants[7].spec.to_wire())
        await tenants.settle()

    assert set(decided) == {"ns-7"}
    assert len(decided) == 2 * 2 * 10


def test_256_names_are_matched_with_5000_patterns_in_one_pass() -> None:
    """A tenant names 256 secrets in each of his VaultSecrets, and 50 grants of 100 patterns each are for him."""
    patterns = tuple(f"team-{number}-*" for number in range(5000))
    before = _matcher.cache_info().misses

    assert all(matches_any(patterns, f"team-4999-{number}") for number in range(256))
    assert _matcher.cache_info().misses - before == 1


def _entries(secrets: list[str]) -> list[Line]:
    return [entry(name, name) for name in secrets]


async def _lose(tenants: Granted, **secrets: list[str]) -> None:
    """Have each tenant sync secrets by a grant of his own, which are deleted in the vault then."""
    for name in {name for lost in secrets.values() for name in lost}:
        tenants.vault.set(name, "x")
    await tenants.administer(*(everything(f"of-{namespace}", **names(namespace)) for namespace in secrets))
    for namespace, lost in secrets.items():
        tenants.request(namespace, *_entries(lost), onSourceDeleted="Delete")
    await tenants.pass_time(120)
    for name in {name for lost in secrets.values() for name in lost}:
        tenants.vault.delete(name)
    await tenants.pass_time(120)


def _timeless(text: str) -> str:
    """Return a text without times, versions and the namespaces of the two tenants."""
    return re.sub(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d[Z0-9.:+]*|[0-9a-f]{32}|before|after", "", text)
