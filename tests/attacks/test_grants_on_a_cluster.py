"""Grants on a real API server: a vault of others, and a namespace that loses its label."""

from typing import Final

from tests.e2e.harness import Harness
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import Emulator
from tests.manifests import grant
from vaultsync.api import API_VERSION, GRANT_PLURAL

GRANTS: Final = f"/apis/{API_VERSION}/{GRANT_PLURAL}"


def request(tenant: Harness, vault_url: str) -> None:
    """Apply a VaultSecret that no harness grants anything."""
    tenant._granted.add(vault_url)
    tenant.apply(vaultUrl=vault_url)


def test_the_vault_of_another_namespace_is_not_read(
    harness: Harness, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator
) -> None:
    """A tenant names the vault that is granted to another namespace."""
    attacker = Harness.new(api, recorder, emulator)
    harness.put()
    request(attacker, harness.vault.url)
    attacker.await_reason("NotGranted")

    # The operator lists the vault for the status of the grant.
    assert harness.calls("get") == 0
    assert attacker.secret() is None


def test_a_namespace_that_loses_its_label_is_not_served_any_more(
    harness: Harness, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator
) -> None:
    """A namespace keeps its VaultSecret after it lost the label by which it was granted another vault."""
    tenant = Harness.new(api, recorder, emulator)
    namespace = f"/api/v1/namespaces/{tenant.namespace}"
    name, first = f"{tenant.namespace}-label", harness.put()
    by_label = grant(name, harness.vault.url)
    by_label["spec"]["namespaces"] = {"selector": {"matchLabels": {"team": tenant.namespace}}}
    api.apply(f"{GRANTS}/{name}", by_label)
    api.patch(namespace, {"metadata": {"labels": {"team": tenant.namespace}}})
    request(tenant, harness.vault.url)
    tenant.await_content(password=first)

    api.patch(namespace, {"metadata": {"labels": {"team": None}}})
    tenant.await_reason("NotGranted")
    harness.put()
    before = harness.calls("get")
    tenant.await_polls_elsewhere()

    assert tenant.content() == {"password": first.encode()}
    assert harness.calls("get") == before
    api.delete(f"{GRANTS}/{name}")
