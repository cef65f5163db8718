"""`vaultsync doctor` on a real API server and the emulated vault: each kind of breakage, staged and reported.

Missing and old CustomResourceDefinitions are staged in tests/e2e/test_cluster_changes.py, where nobody else needs them.
"""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.builders import a_status, a_status_entry
from tests.controlplane.cluster import Rule
from tests.e2e.harness import MARK
from tests.emulator.client import EmulatedVault, Emulator
from tests.integration.shop import IN_SYNC, VAULTSECRETS, Shop
from tests.manifests import grant
from tests.proxies import ConnectProxy
from vaultsync.api import (
    API_VERSION,
    GRANT_PLURAL,
    INSTALLATION_ANNOTATION,
    LEASE_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
)
from vaultsync.cli.doctor.leader import observe

GRANTS: Final = f"/apis/{API_VERSION}/{GRANT_PLURAL}"
LIST_GRANTS: Final[Rule] = {"apiGroups": ["vaultsync.dev"], "resources": [GRANT_PLURAL], "verbs": ["list"]}
OPEN: Final = "  \N{EN DASH} "
"""The mark of what could not be checked, or is for the user to judge."""
LEASE: Final[Rule] = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]}


@dataclass(frozen=True, slots=True)
class Clinic:
    """A namespace, a vault with one secret, and the report about them."""

    shop: Shop
    vault: EmulatedVault
    version: str
    capsys: pytest.CaptureFixture[str]

    def add(self, name: str = "db", **fields: object) -> None:
        """Create a VaultSecret that is in sync, with its Secret."""
        status = a_status(a_status_entry(version=self.version), message="1 key is in sync.")
        created = self.shop.add(name, status, vaultUrl=self.vault.url, **fields)
        labels = {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: created["metadata"]["uid"]}
        self.shop.add_secret(name, labels)

    def report(self, *arguments: str, code: int, kubeconfig: Path | None = None) -> str:
        """Run doctor, and return what it prints; no value is part of it."""
        assert self.shop.run("doctor", *arguments, kubeconfig=kubeconfig) == code
        printed = self.capsys.readouterr()
        assert MARK not in printed.out + printed.err
        assert printed.err == ""
        return printed.out

    def wrong(self, *arguments: str, code: int = 1) -> list[str]:
        """Run doctor, and return the lines about what is wrong."""
        lines = self.report(*arguments, code=code).splitlines()
        return [line.removeprefix("  ✗ ") for line in lines if line.startswith("  ✗ ")]


@pytest.fixture
def clinic(
    shop: Shop,
    emulator: Emulator,
    vault: EmulatedVault,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Clinic]:
    """A vault with a secret and a grant of it, an operator that renews its Lease, and a user with an Azure login."""
    for name, text in emulator.environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("VAULTSYNC_CA_FILE", str(emulator.ca_file))
    monkeypatch.setenv("VAULTSYNC_VAULT_HOSTS", "localhost:*,nowhere.invalid")
    monkeypatch.setenv("VAULTSYNC_LEASE_NAMESPACE", shop.namespace)
    # Without a search for the identity of a node, or for programs.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    version = vault.set("db-password", f"{MARK}-{uuid.uuid4().hex}")
    shop.api.apply(f"{GRANTS}/{shop.namespace}", grant(shop.namespace, vault.url, shop.namespace))
    with leading(shop):
        yield Clinic(shop, vault, version, capsys)
    shop.api.delete(f"{GRANTS}/{shop.namespace}")


@contextmanager
def leading(shop: Shop) -> Iterator[None]:
    """Renew the Lease of an operator while the block lasts."""
    is_over = threading.Event()
    renew(shop)

    def lead() -> None:
        while not is_over.wait(0.05):
            renew(shop)

    leader = threading.Thread(target=lead)
    leader.start()
    yield
    is_over.set()
    leader.join()


def renew(shop: Shop) -> None:
    metadata = {
        "name": "vaultsync-0",
        "labels": {LEASE_LABEL: "shard"},
        "annotations": {INSTALLATION_ANNOTATION: "vaultsync"},
    }
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {"holderIdentity": "pod-a", "renewTime": datetime.now(UTC).isoformat().replace("+00:00", "Z")},
    }
    shop.api.apply(lease_path(shop), lease)


def lease_path(shop: Shop) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{shop.namespace}/leases/vaultsync-0"


def test_nothing_is_wrong_with_a_vaultsecret_that_is_in_sync(clinic: Clinic) -> None:
    clinic.add()

    report = clinic.report("db", code=0)

    assert "  ✓ CustomResourceDefinition vaultsecrets.vaultsync.dev is that of vaultsync " in report
    assert "  ✓ Installation vaultsync is led by pod-a.\n" in report
    assert f"  ✓ VaultGrant {clinic.shop.namespace} allows it.\n" in report
    assert f"  ✓ Secret {clinic.shop.namespace}/db exists and is that of this VaultSecret.\n" in report
    assert "  ✓ It responds: DNS and TLS are fine.\n" in report
    assert "  ✓ get: secret db-password can be read, the version that the Secret has.\n" in report


def test_a_report_as_json(clinic: Clinic) -> None:
    clinic.add()
    clinic.vault.disable("db-password")

    report = json.loads(clinic.report("-o", "json", code=1))

    assert report["healthy"] is False
    (wrong,) = [one for one in report["findings"] if one["result"] == "failed"]
    assert wrong["area"] == f"vault {clinic.vault.url}"
    assert wrong["text"].startswith("get: Secret db-password of vault ")
    assert wrong["advice"] == "Enable it, or pin a version that is enabled."


# the cluster


def test_an_api_server_that_is_not_reached(clinic: Clinic, tmp_path: Path) -> None:
    config = json.loads(clinic.shop.plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    (tmp_path / "kubeconfig").write_text(json.dumps(config))

    report = clinic.report(code=1, kubeconfig=tmp_path / "kubeconfig")

    assert "the Kubernetes API is not reachable: the connection was refused" in report


def test_no_operator_has_ever_run(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.add()
    monkeypatch.setenv("VAULTSYNC_LEASE_NAMESPACE", "kube-public")

    assert clinic.wrong() == [
        "There is no Lease of an operator in namespace kube-public: none has ever run here.",
    ]


def test_a_leader_that_is_gone(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.add()
    monkeypatch.setattr("vaultsync.cli.doctor.command.observe", partial(observe, seconds=0.5))
    monkeypatch.setattr("tests.integration.test_doctor.renew", lambda _: None)

    wrong = clinic.wrong()

    assert wrong[:1] == ["Installation vaultsync: pod-a leads and has not renewed its Lease for 12 s."]


def test_a_user_with_few_rights_is_told_which_would_show_more(clinic: Clinic) -> None:
    clinic.add()
    namespace = clinic.shop.namespace
    tenant = clinic.shop.plane.user("tenant", [VAULTSECRETS, LEASE], namespace)

    report = clinic.report("db", code=0, kubeconfig=tenant)

    assert f"{OPEN}You may not list vaultgrants.vaultsync.dev: it is not known what the grants allow.\n" in report
    assert "    → Ask for the right to list vaultgrants.vaultsync.dev.\n" in report
    assert (
        f"{OPEN}You may not get secrets/db in namespace {namespace}: the Secret's metadata is not checked.\n" in report
    )
    assert "  ✓ Synced: 1 key is in sync.\n" in report


def test_a_user_without_the_right_to_vaultsecrets(clinic: Clinic) -> None:
    stranger = clinic.shop.plane.user("stranger", [LEASE], clinic.shop.namespace)

    report = clinic.report(code=1, kubeconfig=stranger)

    assert f"  ✗ You may not list vaultsecrets.vaultsync.dev in namespace {clinic.shop.namespace}" in report
    assert "  ✓ Installation vaultsync is led by pod-a.\n" in report


# one VaultSecret


def test_a_vaultsecret_that_does_not_exist(clinic: Clinic) -> None:
    assert clinic.wrong("other") == ["There is no such VaultSecret."]


def test_no_grant_allows_a_vaultsecret(clinic: Clinic) -> None:
    clinic.add()
    clinic.shop.api.delete(f"{GRANTS}/{clinic.shop.namespace}")
    said = f"No VaultGrant allows namespace {clinic.shop.namespace} to use vault {clinic.vault.url}; ask whoever"

    assert any(said in line for line in clinic.wrong())
    assert any(line.startswith(said) for line in clinic.wrong("db"))


def test_a_vault_that_no_grant_allows_is_not_called(clinic: Clinic) -> None:
    """A tenant names the vault of somebody else, and waits for an administrator, who may read it, to run `doctor`."""
    clinic.add()
    clinic.shop.api.delete(f"{GRANTS}/{clinic.shop.namespace}")
    clinic.vault.forget_calls()

    clinic.wrong()
    clinic.wrong("db")

    assert not clinic.vault.calls()


def test_a_grant_that_selects_namespaces_by_their_labels(clinic: Clinic) -> None:
    clinic.add()
    namespace = clinic.shop.namespace
    selected = {"selector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    clinic.shop.api.apply(f"{GRANTS}/{namespace}", grant(namespace, clinic.vault.url, namespaces=selected))
    tenant = clinic.shop.plane.user("tenant", [VAULTSECRETS, LEASE], namespace, everywhere=[LIST_GRANTS])

    assert f"  ✓ VaultGrant {namespace} allows it.\n" in clinic.report("db", code=0)
    assert "  ✓ 1 of 1 VaultSecrets are ready.\n" in clinic.report(code=0)
    report = clinic.report("db", code=0, kubeconfig=tenant)
    assert f"{OPEN}Grants with a selector are not evaluated: You may not get namespaces/{namespace}." in report


def test_a_grant_for_another_namespace_is_not_shown(clinic: Clinic) -> None:
    clinic.add()
    other = f"{clinic.shop.namespace}-other"
    clinic.shop.api.apply(f"{GRANTS}/{other}", grant(other, clinic.vault.url, "elsewhere"))

    report = clinic.report(code=0)

    clinic.shop.api.delete(f"{GRANTS}/{other}")
    assert f"VaultGrant {clinic.shop.namespace} " in report
    assert other not in report


def test_a_vaultsecret_that_is_not_ready_is_explained(clinic: Clinic) -> None:
    clinic.add()
    clinic.shop.report("db", a_status(reason="PropertyMissing", message="No field.").changed(observed_generation=1))

    assert f"{clinic.shop.namespace}/db: PropertyMissing: No field." in clinic.wrong()
    assert "PropertyMissing: No field.\n    → Correct the value in the vault" in clinic.report("db", code=1)


def test_a_secret_of_another_owner_and_none(clinic: Clinic) -> None:
    clinic.shop.add("db", IN_SYNC, vaultUrl=clinic.vault.url)
    name = f"Secret {clinic.shop.namespace}/db"

    assert clinic.wrong("db") == [f"{name} does not exist, although the VaultSecret is ready."]

    clinic.shop.add_secret("db", {})
    assert clinic.wrong("db") == [f"{name} exists and has another owner."]


# the vault


def deny_list(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.deny("list")


def deny_get(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.deny("get")


def close_firewall(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.close_firewall()


def close_door(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.close_door()


def delete(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.delete("db-password")


def disable(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.disable("db-password")


def be_a_stranger(clinic: Clinic, _: pytest.MonkeyPatch) -> None:
    clinic.vault.break_("stranger")


def refuse_login(_: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        pytest.param(deny_list, ["list: No permission to read vault"], id="list is denied"),
        pytest.param(deny_get, ["get: No permission to read secret db-password of vault"], id="get is denied"),
        pytest.param(close_firewall, ["list: FirewallDenied: Vault"], id="a firewall"),
        pytest.param(close_door, ["connection: No response from vault"], id="a connection that is refused"),
        pytest.param(delete, ["get: Secret db-password of vault"], id="a secret that was deleted"),
        pytest.param(disable, ["get: Secret db-password of vault"], id="a secret that is disabled"),
        pytest.param(be_a_stranger, ["TLS: No response from vault"], id="a certificate of an unknown authority"),
        pytest.param(refuse_login, ["login: Login of your Azure identity for vault"], id="a login that is refused"),
    ],
)
def test_what_is_wrong_with_a_vault(
    clinic: Clinic,
    monkeypatch: pytest.MonkeyPatch,
    stage: Callable[[Clinic, pytest.MonkeyPatch], None],
    said: list[str],
) -> None:
    clinic.add()
    stage(clinic, monkeypatch)

    wrong = clinic.wrong("db")

    assert [line[: len(start)] for line, start in zip(wrong, said, strict=True)] == said


def test_a_secret_that_does_not_exist_in_the_vault(clinic: Clinic) -> None:
    clinic.add(data=[{"key": "password", "secretName": "db-pasword"}])

    (wrong,) = clinic.wrong("db")

    assert wrong.startswith(f"get: Secret db-pasword of vault {clinic.vault.url} was not found; set it in the vault")


def test_a_newer_version_in_the_vault(clinic: Clinic) -> None:
    clinic.add()
    newer = clinic.vault.set("db-password", MARK)

    report = clinic.report("db", code=0)

    assert f"{OPEN}get: secret db-password has version {newer}, and the Secret has {clinic.version}.\n" in report


def test_a_host_name_that_does_not_resolve(clinic: Clinic) -> None:
    clinic.shop.add("db", IN_SYNC, vaultUrl="https://nowhere.invalid")
    namespace = clinic.shop.namespace
    clinic.shop.api.apply(f"{GRANTS}/{namespace}", grant(namespace, "https://nowhere.invalid", namespace))

    assert any(line.startswith("DNS: ") for line in clinic.wrong())


def test_a_proxy_that_refuses_the_vault(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.add()
    with ConnectProxy.listening(status=403) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url("user:hidden"))
        monkeypatch.setenv("NO_PROXY", "")

        (wrong,) = clinic.wrong("db")

    assert wrong.startswith(f"proxy: No response from vault {clinic.vault.url}: proxy {proxy.host} refused")
    assert "hidden" not in wrong


def test_a_proxy_on_the_way_is_named(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.add()
    with ConnectProxy.listening() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url("user:hidden"))
        monkeypatch.setenv("NO_PROXY", "")

        report = clinic.report("db", code=0)

    assert f"  ✓ It responds: proxy {proxy.host} and TLS are fine.\n" in report
    assert "hidden" not in report


def test_without_an_azure_login_the_vault_is_checked_up_to_there(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.add()
    monkeypatch.delenv("AZURE_CLIENT_SECRET")

    report = clinic.report("db", code=0)

    assert f"  ✓ It responds: DNS and TLS are fine.\n{OPEN}login: There is no Azure login: try az login" in report
    assert "list:" not in report


def test_no_token_is_sent_to_a_vault_of_an_unknown_domain(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.add()
    clinic.vault.forget_calls()
    monkeypatch.delenv("VAULTSYNC_VAULT_HOSTS")

    report = clinic.report("db", code=0)

    assert f"{OPEN}Not called: vaultUrl {clinic.vault.url} is not in a domain" in report
    assert not clinic.vault.calls()
