"""Types of Secrets and the keys that they need."""

import pytest

from tests.manifests import Spec, as_stored, manifest, spec
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret


def vault_secret(kind: str, keys: list[str]) -> VaultSecret:
    data = [{"key": key, "secretName": "db"} for key in keys]
    return VaultSecret.parse(as_stored(manifest(spec(data=data, target={"type": kind}))))


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("kubernetes.io/tls", ["tls.crt", "tls.key", "ca.crt"]),
        ("kubernetes.io/dockerconfigjson", [".dockerconfigjson"]),
        ("kubernetes.io/dockercfg", [".dockercfg"]),
        ("kubernetes.io/ssh-auth", ["ssh-privatekey"]),
        ("kubernetes.io/basic-auth", ["username"]),
        ("kubernetes.io/basic-auth", ["password"]),
        ("helm.sh/release.v1", ["anything"]),
    ],
)
def test_a_type_with_the_keys_that_it_needs_is_accepted(kind: str, keys: list[str]) -> None:
    assert vault_secret(kind, keys).spec.target.type == kind


@pytest.mark.parametrize(
    ("kind", "keys", "needed"),
    [
        ("kubernetes.io/tls", ["tls.crt"], "tls.crt and tls.key"),
        ("kubernetes.io/tls", ["tls.key", "ca.crt"], "tls.crt and tls.key"),
        ("kubernetes.io/dockerconfigjson", [".dockercfg"], ".dockerconfigjson"),
        ("kubernetes.io/dockercfg", ["dockercfg"], ".dockercfg"),
        ("kubernetes.io/ssh-auth", ["id_rsa"], "ssh-privatekey"),
        ("kubernetes.io/basic-auth", ["user"], "username or password"),
    ],
)
def test_a_type_without_a_key_that_it_needs_is_refused(kind: str, keys: list[str], needed: str) -> None:
    with pytest.raises(InvalidSpec, match=f"^spec: this type of Secret needs keys .*{needed} for {kind}"):
        vault_secret(kind, keys)


@pytest.mark.parametrize("more", [{"dataFrom": [{"object": "app"}]}, {"target": {"template": {"tls.crt": ""}}}])
def test_the_keys_of_a_type_may_come_from_data_from_or_a_template(more: Spec) -> None:
    target = more.get("target", {}) | {"type": "kubernetes.io/tls"}

    parsed = VaultSecret.parse(as_stored(manifest(spec(**more | {"target": target}))))

    assert parsed.spec.target.type == "kubernetes.io/tls"
