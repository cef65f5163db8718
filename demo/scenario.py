"""The steps of the demo: a secret is granted, synced, rotated, changed, deleted and recovered; checks each outcome."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import httpx

from demo.processes import ROOT, DemoProcesses
from demo.terminal import Terminal
from tests.controlplane.parts import free_ports

REFRESH = 10
"""Seconds between two polls: the shortest interval there is."""

NAMESPACE = "shop"
OTHER_NAMESPACE = "web"
SECRET = "db-password"  # noqa: S105  a name, not a password
GRANT = """\
apiVersion: vaultsync.dev/v1alpha1
kind: VaultGrant
metadata:
  name: shop
spec:
  vaultUrl: {vault_url}
  namespaces: {{names: [{namespace}]}}
  secrets: ["db-*"]
"""
MANIFEST = """\
apiVersion: vaultsync.dev/v1alpha1
kind: VaultSecret
metadata:
  name: db
  namespace: {namespace}
spec:
  vaultUrl: {vault_url}
  refreshInterval: {refresh}s
  data:
    - key: password
      secretName: {secret}
"""


class Scenario:
    """Runs the steps, and keeps how long each change took."""

    def __init__(self, processes: DemoProcesses, terminal: Terminal) -> None:
        self._processes = processes
        self.terminal = terminal
        self._times: dict[str, float] = {}
        self._port, self._probes_port = free_ports(2)
        self._manifest = processes.folder / "db.yaml"
        self._grant_manifest = processes.folder / "grant.yaml"

    def run(self) -> None:
        """Run all steps.

        Raises:
            StepFailed: A step had another outcome.
        """
        self._install()
        self._start_operator("Start the operator")
        self._grant()
        self._create()
        self._refuse()
        self._rotate()
        self._tamper()
        self._delete_target()
        self._delete_source()
        self._recover_source()
        self._restart()
        self.terminal.title("See how all of them are, and why")
        self.look()
        self._owner()
        self._summary()

    def look(self) -> None:
        """Show all VaultSecrets by the commands that users have for it."""
        self.terminal.run("kubectl get vaultsecrets -A")
        self.terminal.run("vaultsync status -A")
        self.terminal.run(f"vaultsync doctor -n {NAMESPACE}")

    def _install(self) -> None:
        terminal = self.terminal
        terminal.title("A control plane and a Key Vault emulator are running")
        terminal.run("kubectl version | grep Server")
        terminal.say(f"Key Vault emulator: {self._processes.vault().url}")
        terminal.run(f"python -m demo.vault generate {SECRET}")
        terminal.title("Install the CustomResourceDefinitions")
        terminal.run(f"kubectl apply -f {_short(ROOT / 'crds')}/")
        # Not by `--for=condition=…`, which fails on what has no conditions yet.
        established = "jsonpath={.status.conditions[?(@.type=='Established')].status}=True"
        terminal.run(f'kubectl wait --for="{established}" -f {_short(ROOT / "crds")}/')
        for namespace in (NAMESPACE, OTHER_NAMESPACE):
            terminal.run(f"kubectl create namespace {namespace}")

    def _start_operator(self, title: str) -> None:
        terminal = self.terminal
        terminal.title(title)
        settings = {
            "VAULTSYNC_LISTEN": f"127.0.0.1:{self._port}",
            "VAULTSYNC_PROBES_LISTEN": f"127.0.0.1:{self._probes_port}",
        }
        terminal.say("$ " + " ".join(f"{name}={text}" for name, text in settings.items()) + " vaultsync run &")
        self._processes.start_operator(settings)
        self._times[title] = terminal.wait_until("the operator is ready", self._is_ready)

    def _grant(self) -> None:
        terminal = self.terminal
        terminal.title(f"Apply a VaultGrant: namespace {NAMESPACE} may use the vault's secrets db-*")
        vault_url = self._processes.vault().url
        self._grant_manifest.write_text(GRANT.format(namespace=NAMESPACE, vault_url=vault_url))
        terminal.run(f"cat {_short(self._grant_manifest)}")
        terminal.run(f"kubectl apply -f {_short(self._grant_manifest)}")
        terminal.wait_until("the vault answers the operator's identity", self._is_grant_ready)
        terminal.run("kubectl get vaultgrants")

    def _refuse(self) -> None:
        terminal = self.terminal
        terminal.title("Apply the VaultSecret in another namespace: it gets nothing")
        elsewhere = f"sed 's/namespace: {NAMESPACE}/namespace: {OTHER_NAMESPACE}/' {_short(self._manifest)}"
        terminal.run(f"{elsewhere} | kubectl apply -f -")
        terminal.wait_until("it is not granted", lambda: self._reason(OTHER_NAMESPACE) == "NotGranted")
        terminal.run(f"kubectl get -n {OTHER_NAMESPACE} vaultsecrets,secrets")
        path = "jsonpath='{.status.conditions[0].message}'"
        terminal.run(f"kubectl get -n {OTHER_NAMESPACE} vaultsecret db -o {path}; echo")
        terminal.check("there is no Secret", holds=not self._target(OTHER_NAMESPACE))

    def _create(self) -> None:
        terminal = self.terminal
        terminal.title("Apply a VaultSecret: its Secret is created with the value from the vault")
        self._manifest.write_text(
            MANIFEST.format(namespace=NAMESPACE, vault_url=self._processes.vault().url, refresh=REFRESH, secret=SECRET)
        )
        terminal.run(f"cat {_short(self._manifest)}")
        terminal.run(f"kubectl apply -f {_short(self._manifest)}")
        self._time("VaultSecret applied → Secret created", self._has_vault_value)
        self._await_ready()
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecrets,secrets")

    def _rotate(self) -> None:
        terminal = self.terminal
        terminal.title("Rotate the secret in the vault: the Secret is updated")
        terminal.run(f"python -m demo.vault generate {SECRET}")
        self._time("secret rotated in the vault → Secret updated", self._has_vault_value)
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecret db -o jsonpath='{{.status.entries[0]}}'; echo")

    def _tamper(self) -> None:
        terminal = self.terminal
        terminal.title("Change the Secret manually: the drift is corrected")
        patch = json.dumps({"stringData": {"password": "guessed", "backdoor": "open"}})
        terminal.run(f"kubectl patch -n {NAMESPACE} secret db --type merge -p '{patch}'")
        self._time("Secret changed manually → corrected", self._has_vault_value)

    def _delete_target(self) -> None:
        terminal = self.terminal
        terminal.title("Delete the Secret: it is created again")
        terminal.run(f"kubectl delete -n {NAMESPACE} secret db")
        self._time("Secret deleted → created again", self._has_vault_value)

    def _delete_source(self) -> None:
        terminal = self.terminal
        terminal.title("Delete the secret in the vault: the Secret is kept, and the condition reports it")
        before = self._target_data()
        terminal.run(f"python -m demo.vault delete {SECRET}")
        self._time("secret deleted in the vault → reported", lambda: self._reason() == "SecretSoftDeleted")
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecrets,secrets")
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecret db -o jsonpath='{{.status.conditions[0].message}}'; echo")
        terminal.check("the Secret is unchanged", holds=self._target_data() == before)

    def _recover_source(self) -> None:
        terminal = self.terminal
        terminal.title("Recover the secret in the vault: the VaultSecret is synced again")
        terminal.run(f"python -m demo.vault recover {SECRET}")
        self._await_ready()

    def _restart(self) -> None:
        terminal = self.terminal
        took = self._processes.stop_operator()
        calls = self._processes.vault().calls()
        self._start_operator("Restart the operator: it reads no value from the vault")
        terminal.say(f"(it stopped after {took:.1f} s)")
        terminal.wait_until("it has polled the vault", self._has_polled)
        since = self._processes.vault().calls() - calls
        terminal.say(f"calls to the vault since the restart: {dict(since)}")
        terminal.check("no value was read", holds=since["get"] == 0)

    def _owner(self) -> None:
        terminal = self.terminal
        terminal.title("The VaultSecret owns the Secret: Kubernetes deletes both together")
        terminal.say("(unless onDelete is Retain; this control plane has no garbage collector that would show it)")
        path = "jsonpath='{.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}'"
        owner = terminal.run(f"kubectl get -n {NAMESPACE} secret db -o {path}; echo").strip()
        terminal.check("its owner is the VaultSecret", holds=owner == "VaultSecret/db")
        terminal.run(f"kubectl describe -n {NAMESPACE} vaultsecret db | sed -n '/^Events/,$p'")

    def _summary(self) -> None:
        terminal = self.terminal
        terminal.title("Results")
        terminal.table({what: f"{seconds:.1f} s" for what, seconds in self._times.items()})
        terminal.say("")
        terminal.say("calls to the vault by kind:")
        terminal.table({kind: str(count) for kind, count in sorted(self._processes.vault().calls().items())})

    def _time(self, what: str, holds: Callable[[], bool]) -> None:
        self._times[what] = self.terminal.wait_until(what, holds)

    def _await_ready(self) -> None:
        self.terminal.wait_until("the VaultSecret is Ready", lambda: self._reason() == "Synced")

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._probes_port}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _has_polled(self) -> bool:
        metrics = httpx.get(f"http://127.0.0.1:{self._port}/metrics", trust_env=False).text
        return any(
            line.startswith("vaultsync_polls_total{") and 'result="Synced"' in line for line in metrics.splitlines()
        )

    def _has_vault_value(self) -> bool:
        data = self._target_data()
        if data is None or data.keys() != {"password"}:
            return False
        return base64.b64decode(data["password"]).decode() == self._processes.vault().value(SECRET)

    def _target_data(self) -> dict[str, str] | None:
        target = self._target()
        return json.loads(target).get("data") if target else None

    def _target(self, namespace: str = NAMESPACE) -> str:
        return self.terminal.output_of("kubectl", "get", "-n", namespace, "secret", "db", "-o", "json")

    def _reason(self, namespace: str = NAMESPACE) -> str:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
        return self.terminal.output_of("kubectl", "get", "-n", namespace, "vaultsecret", "db", "-o", path)

    def _is_grant_ready(self) -> bool:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self.terminal.output_of("kubectl", "get", "vaultgrant", "shop", "-o", path) == "True"


def _short(path: Path) -> Path:
    return path.relative_to(ROOT)
