"""Which VaultSecrets use a vault or a secret, and which pods use their Secrets."""

from typing import Any

import pytest

from tests.builders import a_status, a_status_entry
from tests.manifests import as_stored, manifest, spec
from vaultsync.api import ObjectKey
from vaultsync.cli.who_uses import is_vault, pods_by_secret, secrets_of_pod, use_of

URL = "https://shop.vault.azure.net"


def body(*keys: tuple[str, str], **changes: object) -> dict[str, Any]:
    """A VaultSecret with these changes of its spec, whose status has keys, each of a secret."""
    entries = [a_status_entry(key=key, secret_name=name).to_wire() for key, name in keys]
    stored = as_stored(manifest({**spec(), **changes}, namespace="shop"))
    return {**stored, "status": {**a_status().to_wire(), "entries": entries}}


@pytest.mark.parametrize(
    ("named", "matches"),
    [
        ("shop", True),
        ("SHOP", True),
        ("shop.vault.azure.net", True),
        ("https://shop.vault.azure.net/", True),
        ("sho", False),
        ("shop.vault", False),
        ("", False),
    ],
)
def test_a_vault_is_named_by_its_name_host_or_url(named: str, matches: bool) -> None:
    assert is_vault(URL, named) is matches


def test_a_vault_on_another_port_is_named_with_it() -> None:
    assert is_vault("https://localhost:8443", "localhost:8443")


@pytest.mark.parametrize(
    ("document", "secret", "keys", "is_search"),
    [
        pytest.param(body(("password", "db-password")), None, ("password",), False, id="any secret"),
        pytest.param(body(("password", "db-password")), "DB-Password", ("password",), False, id="by its name"),
        pytest.param(body(), "db-password", (), False, id="named and not written yet"),
        pytest.param(
            body(data=[], dataFrom=[{"find": {"names": "app-*"}}]), "app-key", (), True, id="what a search may find"
        ),
        pytest.param(
            body(("KEY", "app-key"), data=[], dataFrom=[{"find": {"names": "app-*"}}]),
            "app-key",
            ("KEY",),
            False,
            id="what a search has found",
        ),
        pytest.param(body(("old", "gone"), data=[]), "gone", ("old",), False, id="by a spec that is not valid now"),
    ],
)
def test_a_vaultsecret_uses_a_secret(
    document: dict[str, Any], secret: str | None, keys: tuple[str, ...], is_search: bool
) -> None:
    use = use_of(document, "shop", secret)

    assert use is not None
    assert (use.keys, use.is_search, use.target) == (keys, is_search, ObjectKey("shop", "db"))


@pytest.mark.parametrize(
    ("document", "vault", "secret"),
    [
        pytest.param(body(), "other", None, id="another vault"),
        pytest.param(body(), "shop", "other", id="another secret"),
        pytest.param(
            body(data=[], dataFrom=[{"find": {"names": "app-*"}, "omit": ["app-k*"]}]), "shop", "app-key", id="omitted"
        ),
        pytest.param(body(vaultUrl=None), "shop", None, id="no vault"),
        pytest.param({**body(), "spec": None}, "shop", None, id="no spec"),
    ],
)
def test_another_vaultsecret_does_not(document: dict[str, Any], vault: str, secret: str | None) -> None:
    assert use_of(document, vault, secret) is None


def test_a_pod_uses_secrets_in_every_way() -> None:
    pod = {
        "spec": {
            "volumes": [
                {"secret": {"secretName": "mounted"}},
                {"projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "no"}}]}},
                {"emptyDir": {}},
            ],
            "containers": [{"envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "no"}}]}],
            "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}}, {"value": "x"}]}],
            "ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "debug"}}]}],
            "imagePullSecrets": [{"name": "registry"}],
        }
    }

    assert set(secrets_of_pod(pod)) - {""} == {"mounted", "projected", "all", "one", "debug", "registry"}
    assert set(secrets_of_pod({})) == set()


def test_pods_are_found_by_the_secret_in_their_namespace() -> None:
    pods = [
        (ObjectKey("shop", "web-1"), frozenset({"db"})),
        (ObjectKey("shop", "web-2"), frozenset({"db", "tls"})),
        (ObjectKey("other", "web-1"), frozenset({"db"})),
    ]

    by_secret = pods_by_secret(pods)

    assert by_secret[ObjectKey("shop", "db")] == ["web-1", "web-2"]
    assert by_secret[ObjectKey("other", "db")] == ["web-1"]


def test_a_text_that_is_no_url_is_no_vault() -> None:
    """An older CustomResourceDefinition accepts it, and it must not end the command for all others."""
    assert not is_vault("https://[shop", "shop")
