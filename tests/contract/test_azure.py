"""docs/azure.md: its commands run in order, with stubs of az, kubectl and helm; they fit each other and the chart.

What the real az, kubectl and a cluster would answer is not tested here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.renders import CHART, Manifest, container, the
from tests.controlplane.helm import Helm
from tests.manifests import as_stored
from vaultsync.adapters.identities.credentials import AUDIENCE
from vaultsync.api.grants import VaultGrant
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.grants import decide
from vaultsync.state.grants import GrantView, Refused

pytestmark: Final = pytest.mark.slow

DOCS: Final = Path(__file__).parents[2] / "docs"
ROLE: Final = "Key Vault Secrets User"
ROLE_ID: Final = "4633458b-17de-408a-b874-0445c86b69e6"
"""https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security#key-vault-secrets-user"""

CLIENT_ID: Final = "11111111-1111-1111-1111-111111111111"
PRINCIPAL_ID: Final = "33333333-3333-3333-3333-333333333333"
TENANT_ID: Final = "22222222-2222-2222-2222-222222222222"

ANSWER: Final = "c3VwcGxpZWQ="
"""For everything else; it can be decoded, as a value in a Secret can."""

STUB: Final = f"""#!{sys.executable} -IS
import json, os, sys
given = "-" in sys.argv or any("/dev/stdin" in each for each in sys.argv)
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:], sys.stdin.read() if given else ""]), file=calls)
words = " ".join(sys.argv)
print("{CLIENT_ID}" if "clientId" in words or "appId" in words
      else "{PRINCIPAL_ID}" if "principalId" in words
      else "{TENANT_ID}" if "tenantId" in words else "{ANSWER}")
"""
"""A program that records how it is called, and answers with what the page asks for."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command of the page."""

    words: tuple[str, ...]
    stdin: str

    def begins(self, text: str) -> bool:
        return " ".join(self.words).startswith(text)

    def option(self, name: str) -> str:
        """The value of the option, which the command must have once."""
        (place,) = [place for place, word in enumerate(self.words) if word == name]
        return self.words[place + 1]


@dataclass(frozen=True, slots=True)
class Performed:
    """What a shell has done with the page."""

    calls: tuple[Call, ...]
    folder: Path

    def all(self, text: str) -> list[Call]:
        return [call for call in self.calls if call.begins(text)]

    def one(self, text: str) -> Call:
        (found,) = self.all(text)
        return found


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory) -> Performed:
    """The page, run by bash."""
    folder = tmp_path_factory.mktemp("azure")
    for program in ("az", "kubectl", "helm", "openssl"):
        (folder / program).write_text(STUB)
        (folder / program).chmod(0o755)
    blocks = re.findall(r"^```console\n(.*?)^```", (DOCS / "azure.md").read_text(), re.MULTILINE | re.DOTALL)
    environment = {"PATH": f"{folder}:{os.defpath}", "CALLS": str(folder / "calls"), "HOME": str(folder)}
    script = "set -euo pipefail\n" + "\n".join(blocks)
    subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True, capture_output=True)
    calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    return Performed(tuple(Call(tuple(words), stdin) for *words, stdin in calls), folder)


@pytest.fixture(scope="module")
def installed(performed: Performed, helm: Helm) -> list[str]:
    """What each `helm install` of the page installs."""
    releases = []
    for call in performed.all("helm install"):
        _, _, release, chart, *options = call.words
        assert (CHART.parents[1] / chart).samefile(CHART)
        options = [str(performed.folder / word) if word == "values.yaml" else word for word in options]
        releases.append(helm("template", release, CHART, *options, "--kube-version", "1.30.0"))
    return releases


def subject(rendered: str) -> str:
    """The subject of the tokens of the operator's ServiceAccount."""
    account = the("ServiceAccount", rendered)["metadata"]
    return f"system:serviceaccount:{account['namespace']}:{account['name']}"


def test_the_federated_credential_trusts_the_operator(performed: Performed, installed: list[str]) -> None:
    credential = performed.one("az identity federated-credential create")

    assert credential.option("--subject") == subject(installed[0])
    assert credential.option("--audiences") == AUDIENCE


def test_the_chart_gives_the_pod_the_identity(performed: Performed, installed: list[str]) -> None:
    rendered, _ = installed
    account = the("ServiceAccount", rendered)["metadata"]
    pod = the("Deployment", rendered)["spec"]["template"]

    assert account["annotations"] == {"azure.workload.identity/client-id": CLIENT_ID}
    assert pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert pod["spec"]["serviceAccountName"] == account["name"]


def test_the_cluster_has_an_issuer_and_the_webhook(performed: Performed) -> None:
    assert {"--enable-oidc-issuer", "--enable-workload-identity"} <= set(performed.one("az aks create").words)


def test_the_identities_may_read_the_vault(performed: Performed) -> None:
    _, of_identity = performed.all("az role assignment create")
    of_application = performed.one("az ad sp create-for-rbac")

    assert (of_identity.option("--role"), of_identity.option("--assignee-object-id")) == (ROLE, PRINCIPAL_ID)
    assert of_application.option("--role") == ROLE


def test_the_image_that_is_built_is_the_one_that_runs(performed: Performed, installed: list[str]) -> None:
    built = performed.one("az acr build")
    registry = built.option("--registry")

    image = container(installed[0])["image"]

    assert image == f"{registry}.azurecr.io/{built.option('--image')}"
    assert performed.one("az aks create").option("--attach-acr") == registry


def test_the_grant_allows_the_vault_secret(performed: Performed) -> None:
    grant, secret = [yaml.safe_load(call.stdin) for call in performed.all("kubectl apply")]
    vault = performed.one("az keyvault create").option("--name")

    decision = decide(VaultSecret.parse(as_stored(secret)), GrantView({"shop": VaultGrant.parse(as_stored(grant))}, {}))

    assert not isinstance(decision, Refused)
    assert secret["spec"]["vaultUrl"] == f"https://{vault}.vault.azure.net"
    assert {call.option("--name") for call in performed.all("az keyvault secret set")} == {
        entry["secretName"] for entry in secret["spec"]["data"]
    }


def test_what_is_waited_for_is_what_was_applied(performed: Performed) -> None:
    applied: list[Manifest] = [yaml.safe_load(call.stdin) for call in performed.all("kubectl apply")]

    waited = [call.words[2] for call in performed.all("kubectl wait")]

    assert waited == [f"{one['kind'].lower()}/{one['metadata']['name']}" for one in applied]


def test_the_operator_gets_the_service_principal(performed: Performed, installed: list[str]) -> None:
    created = performed.one("kubectl create secret generic")
    key, _, file = created.option("--from-file").partition("=")
    _, rendered = installed
    variables: dict[str, Any] = {one["name"]: one for one in container(rendered)["env"]}

    assert variables["AZURE_CLIENT_ID"]["value"] == CLIENT_ID
    assert variables["AZURE_TENANT_ID"]["value"] == TENANT_ID
    assert variables["AZURE_CLIENT_SECRET"]["valueFrom"] == {"secretKeyRef": {"name": created.words[4], "key": key}}
    assert created.option("--namespace") == the("Deployment", rendered)["metadata"]["namespace"]
    assert (file, created.stdin) == ("/dev/stdin", ANSWER)


@pytest.mark.parametrize("sample", ["terraform/main.tf", "bicep/main.bicep"])
def test_the_samples_do_the_same(sample: str, performed: Performed, installed: list[str]) -> None:
    text = (DOCS / "samples" / "azure" / sample).read_text()
    defaults = dict(re.findall(r'variable "(\w+)" \{[^}]*default += "([^"]*)"', text)) | dict(
        re.findall(r"param (\w+) string = '([^']*)'", text)
    )
    (written,) = re.findall(r"subject\W+(system:\S+)[\"']", text)
    filled = re.sub(r"\$\{(?:var[.])?(\w+)\}", lambda name: defaults[name[1]], written)

    assert filled == subject(installed[0])
    assert re.findall(r"audiences?\W+(api:[^\"']*)", text) == [AUDIENCE]
    assert (f'"{ROLE}"' in text) or (f"'{ROLE_ID}'" in text)


def test_the_configuration_of_terraform_is_formatted() -> None:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("terraform is not installed")

    subprocess.run([program, "fmt", "-check", "-diff", DOCS / "samples" / "azure"], check=True)
