"""What grants allow: namespaces, vault, secrets, types, abilities, quotas, and whose identity is used."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.builders import VAULT, Tweak, a_grant, a_vault_secret, an_entry
from vaultsync.api.grants import VaultGrant
from vaultsync.api.sources import DataFrom, Find
from vaultsync.api.v1alpha1 import MetadataFrom, Restart, TargetSpec, VaultSecret
from vaultsync.errors import Reason
from vaultsync.policy.grants import decide
from vaultsync.state.access import Access, ManagedIdentity, OwnIdentity, ServicePrincipal, WorkloadIdentity
from vaultsync.state.globs import matches_any
from vaultsync.state.grants import Decision, Granted, GrantView, Refused

FIRST = "11111111-1111-1111-1111-111111111111"
SECOND = "22222222-2222-2222-2222-222222222222"


def managed(client_id: str) -> dict[str, Any]:
    return {"managedIdentity": {"clientId": client_id}}


def decision(
    *grants: VaultGrant, vault_secret: VaultSecret | None = None, labels: Mapping[str, str] | None = None
) -> Decision:
    view = GrantView({one.metadata.name: one for one in grants}, {} if labels is None else {"shop": labels})
    return decide(vault_secret or a_vault_secret(), view)


def granted(*grants: VaultGrant, **more: Tweak) -> Granted:
    found = decision(*grants, **more)
    assert isinstance(found, Granted), found
    return found


def message(*grants: VaultGrant, **more: Tweak) -> str:
    found = decision(*grants, **more)
    assert isinstance(found, Refused), found
    assert found.reason is Reason.NOT_GRANTED
    return found.message


def test_without_a_grant_nothing_is_granted() -> None:
    assert message() == (
        "No VaultGrant allows namespace shop to use vault https://shop.vault.azure.net; ask whoever administers the "
        "cluster for one."
    )


def test_what_was_decided_is_decided_again_only_by_other_grants() -> None:
    """One reconcile checks several times that its grant is still the same."""
    view, vault_secret = GrantView({"shop": a_grant()}), a_vault_secret()
    before = decide(vault_secret, view)

    assert decide(vault_secret, view, before) is before
    assert isinstance(decide(vault_secret, GrantView(), before), Refused)


def test_a_grant_gives_its_vault_with_the_operators_identity() -> None:
    assert granted(a_grant()).access == Access("shop", VAULT, OwnIdentity())


@pytest.mark.parametrize(
    ("namespaces", "labels", "expected"),
    [
        ({"names": ["shop"]}, None, True),
        ({"names": ["sho"]}, None, False),
        ({"names": ["shop-*"]}, None, False),
        ({"names": ["sh*"]}, None, True),
        ({"names": ["sho?"]}, None, True),
        ({"names": ["*"]}, None, True),
        ({"names": ["other", "shop"]}, None, True),
        ({"selector": {"matchLabels": {"team": "a"}}}, {"team": "a"}, True),
        ({"selector": {"matchLabels": {"team": "a"}}}, {"team": "A"}, False),
        ({"selector": {"matchLabels": {"team": "a"}}}, {}, False),
        ({"selector": {"matchLabels": {"team": "a"}}}, None, False),
        ({"names": ["shop"], "selector": {"matchLabels": {"team": "a"}}}, {"team": "b"}, False),
        ({"names": ["other"], "selector": {"matchLabels": {"team": "a"}}}, {"team": "a"}, False),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, {"x": ""}, True),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, {}, False),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}, {}, True),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}, None, False),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "In", "values": ["a"]}]}}, {"x": "a"}, True),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "In", "values": ["a"]}]}}, {}, False),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}}, {"x": "a"}, False),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}}, {}, True),
    ],
)
def test_which_namespaces_a_grant_is_for(
    namespaces: dict[str, Any], labels: Mapping[str, str] | None, expected: bool
) -> None:
    assert isinstance(decision(a_grant(namespaces=namespaces), labels=labels), Granted) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.vault.azure.net/", True),
        ("https://SHOP.vault.azure.net:443", True),
        ("https://shop.vault.azure.net:8443", False),
        ("https://shop.vault.azure.net.example.com", False),
        ("https://other.vault.azure.net", False),
    ],
)
def test_a_grant_is_for_one_vault_with_its_port(url: str, expected: bool) -> None:
    assert isinstance(decision(a_grant(vaultUrl=url)), Granted) is expected


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["db-*"], "db-password", True),
        (["DB-*"], "db-password", True),
        (["db-*"], "DB-Password", True),
        (["db-?"], "db-password", False),
        (["password"], "db-password", False),
        (["db"], "db-password", False),
        (["other", "*-password"], "db-password", True),
    ],
)
def test_which_secrets_a_grant_gives(patterns: list[str], name: str, expected: bool) -> None:
    wanted = a_vault_secret(an_entry(secret_name=name))

    assert isinstance(decision(a_grant(secrets=patterns), vault_secret=wanted), Granted) is expected


@pytest.mark.parametrize(
    "spec",
    [
        {"data": (an_entry(secret_name="secret"),)},
        {"data": (an_entry(secret_name="secret", version="0" * 32),)},
        {"data": (an_entry(secret_name="secret", previous_key="old"),)},
        {"data": (an_entry(), an_entry(key="x", secret_name="secret", optional=True))},
        {"data": (), "data_from": (DataFrom(object="secret"),)},
        {"data": (), "data_from": (DataFrom(certificate="secret"),)},
        {"data": (), "data_from": (DataFrom(certificate="SECRET", version="0" * 32),)},
    ],
)
def test_every_way_to_name_a_secret_needs_a_grant(spec: dict[str, Tweak]) -> None:
    text = message(a_grant(secrets=["db-*"]), vault_secret=a_vault_secret(*spec.pop("data"), **spec))

    assert text.lower() == "vaultgrant shop: no pattern in secrets matches secret."


def test_a_search_sees_only_what_is_granted() -> None:
    searching = a_vault_secret(an_entry(), data_from=(DataFrom(find=Find(names="*")),))

    found = granted(a_grant(secrets=["Db-*", "a"]), vault_secret=searching)

    assert found.secrets == ("a", "db-*")
    assert [matches_any(found.secrets, name) for name in ("A", "db-x", "b", "xdb-")] == [True, True, False, False]


def a_source_of(**templates: dict[str, str]) -> TargetSpec:
    """A target with labels and annotations from the vault."""
    return TargetSpec(metadata_from=MetadataFrom.model_validate(templates))


@pytest.mark.parametrize(
    ("spec", "allow", "expected"),
    [
        ({"target": TargetSpec(type="kubernetes.io/tls"), "data_from": (DataFrom(certificate="a"),)}, {}, None),
        ({"target": TargetSpec(type="example.com/own")}, {}, "types does not contain"),
        ({"target": TargetSpec(type="opaque")}, {}, "types does not contain"),
        ({"target": TargetSpec(adopt=True)}, {}, "allow.adopt"),
        ({"target": TargetSpec(adopt=True)}, {"adopt": True}, None),
        ({"restart": (Restart.model_validate({"kind": "Deployment", "name": "web"}),)}, {}, "allow.restart"),
        ({"restart": (Restart.model_validate({"kind": "Deployment", "name": "web"}),)}, {"restart": True}, None),
        ({"on_source_deleted": "Delete"}, {}, "allow.delete"),
        ({"on_source_deleted": "Delete"}, {"delete": True}, None),
        ({"target": TargetSpec(labels={"team": "a", "app.kubernetes.io/name": "b"})}, {}, None),
        ({"target": TargetSpec(labels={"app.kubernetes.io/instance": "b"})}, {}, "app.kubernetes.io/instance in"),
        ({"target": TargetSpec(labels={"a.example/b": "c"})}, {}, "a.example/b in target.labels"),
        ({"target": TargetSpec(labels={"a.example/b": "c"})}, {"labels": ["a.example/"]}, None),
        ({"target": TargetSpec(labels={"a.example.org/b": "c"})}, {"labels": ["a.example/"]}, "a.example.org/b"),
        ({"target": TargetSpec(copy_labels=("team", "app.kubernetes.io/name"))}, {}, None),
        ({"target": TargetSpec(copy_labels=("app.kubernetes.io/instance",))}, {}, "instance in target.copyLabels"),
        ({"target": TargetSpec(copy_labels=("a.example/b",))}, {"labels": ["a.example/"]}, None),
        ({"target": TargetSpec(copy_labels=("a.example/b",))}, {"annotations": ["*"]}, "a.example/b in"),
        ({"target": TargetSpec(annotations={"a.example/b": "c"})}, {"labels": ["*"]}, "target.annotations"),
        ({"target": TargetSpec(annotations={"a.example/b": "c"})}, {"annotations": ["*"]}, None),
        ({"target": TargetSpec(annotations={"note": "c"})}, {}, None),
        ({"target": a_source_of(labels={"team": "a", "app.kubernetes.io/part-of": "b"})}, {}, None),
        ({"target": a_source_of(labels={"a.example/b": "c"})}, {}, "a.example/b in target.metadataFrom.labels"),
        ({"target": a_source_of(labels={"a.example/b": "c"})}, {"labels": ["a.example/"]}, None),
        ({"target": a_source_of(annotations={"a.example/b": "c"})}, {"labels": ["*"]}, "metadataFrom.annotations"),
        ({"target": a_source_of(annotations={"a.example/b": "c"})}, {"annotations": ["*"]}, None),
    ],
)
def test_what_else_needs_a_grant(spec: dict[str, Tweak], allow: dict[str, Any], expected: str | None) -> None:
    found = decision(a_grant(allow=allow), vault_secret=a_vault_secret(**spec))

    assert isinstance(found, Granted) if expected is None else expected in getattr(found, "message", "")


def test_a_message_names_few_of_many() -> None:
    wanted = a_vault_secret(*(an_entry(key=str(number), secret_name=f"s{number}") for number in range(9)))

    assert message(a_grant(secrets=["x"]), vault_secret=wanted).endswith("matches s0, s1, s2, s3, s4, and 4 more.")


def test_grants_of_one_identity_add_up() -> None:
    wanted = a_vault_secret(an_entry(secret_name="a"), an_entry(key="b", secret_name="b"), on_source_deleted="Delete")
    grants = a_grant("one", secrets=["a"]), a_grant("two", secrets=["b"], allow={"delete": True})

    assert granted(*grants, vault_secret=wanted).secrets == ("a", "b")
    assert "VaultGrant two: no pattern in secrets matches a." in message(grants[1], vault_secret=wanted)


def test_grants_of_two_identities_do_not_add_up() -> None:
    wanted = a_vault_secret(an_entry(secret_name="a"), an_entry(key="b", secret_name="b"))
    grants = a_grant("one", secrets=["a"]), a_grant("two", secrets=["b"], identity=managed(FIRST))

    assert "VaultGrant one: no pattern in secrets matches b." in message(*grants, vault_secret=wanted)


def test_a_broad_grant_for_a_weak_identity_does_not_widen_what_a_strong_one_reads() -> None:
    strong = a_grant("strong", secrets=["db-*"])
    weak = a_grant("weak", secrets=["*"], namespaces={"names": ["*"]}, identity=managed(FIRST))

    found = granted(strong, weak, vault_secret=a_vault_secret(an_entry(secret_name="other")))

    assert found.access == Access("weak", VAULT, ManagedIdentity(FIRST))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"names": ["shop"]}, {"names": ["sho*"]}),
        ({"names": ["*", "shop"]}, {"names": ["sho?"]}),
        ({"names": ["sho*"]}, {"names": ["s*"]}),
        ({"names": ["s*"]}, {"names": ["*"]}),
        ({"names": ["*"], "selector": {"matchLabels": {"team": "a"}}}, {"names": ["*"]}),
    ],
)
def test_the_identity_is_that_of_the_most_specific_grant(first: dict[str, Any], second: dict[str, Any]) -> None:
    grants = (
        a_grant("z", namespaces=first, identity=managed(FIRST)),
        a_grant("a", namespaces=second, identity=managed(SECOND)),
    )

    assert granted(*grants, labels={"team": "a"}).access == Access("z", VAULT, ManagedIdentity(FIRST))


def test_of_equally_specific_grants_the_first_by_name_is_used() -> None:
    assert granted(a_grant("b", identity=managed(FIRST)), a_grant("a", identity=managed(SECOND))).access.grant == "a"


def test_a_service_account_is_that_of_the_vaultsecrets_namespace() -> None:
    ref = {"tenantId": "Contoso.com", "clientId": FIRST, "serviceAccountName": "reader"}
    grant = a_grant(namespaces={"names": ["*"]}, identity={"workloadIdentity": ref})

    assert granted(grant).access.identity == WorkloadIdentity("contoso.com", FIRST, "shop", "reader")


@pytest.mark.parametrize(("field", "is_certificate"), [("clientSecretRef", False), ("certificateRef", True)])
def test_a_service_principal_has_a_key_of_a_secret(field: str, is_certificate: bool) -> None:
    ref = {"tenantId": SECOND, "clientId": FIRST, field: {"name": "login", "key": "value"}}

    found = granted(a_grant(identity={"servicePrincipal": ref}))

    assert found.access.identity == ServicePrincipal(SECOND, FIRST, "login", "value", is_certificate)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"entries": 1}, "VaultGrant shop allows 1 items in data and dataFrom."),
        ({"minRefreshInterval": "5m"}, "VaultGrant shop allows a refreshInterval of 5m or longer."),
    ],
)
def test_a_quota_has_its_own_reason(quota: dict[str, Any], expected: str) -> None:
    wanted = a_vault_secret(an_entry(), an_entry(key="b", secret_name="b"))

    assert decision(a_grant(quota=quota), vault_secret=wanted) == Refused(Reason.QUOTA_EXCEEDED, expected)
