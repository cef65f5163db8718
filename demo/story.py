"""The life of a secret in Kubernetes, step by step; every step holds within its time, or the demo fails."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import httpx

from demo.stage import ROOT, Stage
from demo.terminal import Terminal
from tests.controlplane.parts import free_ports

REFRESH = 10
"""Seconds between two polls: the shortest interval there is."""

NEW_KINDS = 40
"""Seconds within which Kubernetes' garbage collector has noticed a new kind: it looks every 30."""

NAMESPACE = "shop"
SECRET = "db-password"  # noqa: S105  a name, not a password
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


class Story:
    """Plays the steps on a stage that has been set, and remembers how long each change took."""

    def __init__(self, stage: Stage, terminal: Terminal) -> None:
        self._stage = stage
        self._terminal = terminal
        self._times: dict[str, float] = {}
        (self._port,) = free_ports(1)
        self._manifest = stage.folder / "db.yaml"

    def play(self) -> None:
        """Tell it from the beginning to the end.

        Raises:
            StepFailed: Something did not hold within its time.
        """
        self._install()
        self._start_operator("Start the operator")
        self._create()
        self._rotate()
        self._tamper()
        self._delete_target()
        self._delete_source()
        self._recover_source()
        self._restart()
        self._delete_vault_secret()
        self._summary()

    def _install(self) -> None:
        terminal = self._terminal
        terminal.title("A control plane and a Key Vault are there")
        terminal.run("kubectl version | grep Server")
        terminal.say(f"Key Vault emulator: {self._stage.vault().url}")
        terminal.run(f"python -m demo.vault generate {SECRET}")
        terminal.title("Install the CustomResourceDefinition")
        terminal.run(f"kubectl apply -f {_short(ROOT / 'crds')}/")
        # Not by `--for=condition=…`, which fails on what has no conditions yet.
        established = "jsonpath={.status.conditions[?(@.type=='Established')].status}=True"
        terminal.run(f'kubectl wait --for="{established}" -f {_short(ROOT / "crds")}/')
        terminal.run(f"kubectl create namespace {NAMESPACE}")

    def _start_operator(self, title: str) -> None:
        terminal = self._terminal
        terminal.title(title)
        settings = {"VAULTSYNC_VAULT_DNS_SUFFIXES": "localhost", "VAULTSYNC_LISTEN": f"127.0.0.1:{self._port}"}
        terminal.say("$ " + " ".join(f"{name}={text}" for name, text in settings.items()) + " vaultsync run &")
        self._stage.start_operator(settings)
        self._times[title] = terminal.wait_until("the operator is ready", self._is_ready, within=10)

    def _create(self) -> None:
        terminal = self._terminal
        terminal.title("Apply a VaultSecret: the Secret is there, with the vault's value")
        self._manifest.write_text(
            MANIFEST.format(namespace=NAMESPACE, vault_url=self._stage.vault().url, refresh=REFRESH, secret=SECRET)
        )
        terminal.run(f"cat {_short(self._manifest)}")
        terminal.run(f"kubectl apply -f {_short(self._manifest)}")
        self._time("VaultSecret applied → Secret there", self._holds_vaults_value, within=5)
        self._await_ready()
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecrets,secrets")

    def _rotate(self) -> None:
        terminal = self._terminal
        terminal.title("Set a new value in the vault: the Secret follows")
        terminal.run(f"python -m demo.vault generate {SECRET}")
        self._time("new version in the vault → Secret", self._holds_vaults_value, within=REFRESH + 2)
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecret db -o jsonpath='{{.status.entries[0]}}'; echo")

    def _tamper(self) -> None:
        terminal = self._terminal
        terminal.title("Tamper with the Secret: it is put right")
        patch = json.dumps({"stringData": {"password": "guessed", "backdoor": "open"}})
        terminal.run(f"kubectl patch -n {NAMESPACE} secret db --type merge -p '{patch}'")
        self._time("Secret tampered with → healed", self._holds_vaults_value, within=2)

    def _delete_target(self) -> None:
        terminal = self._terminal
        terminal.title("Delete the Secret: it comes back")
        terminal.run(f"kubectl delete -n {NAMESPACE} secret db")
        self._time("Secret deleted → back", self._holds_vaults_value, within=2)

    def _delete_source(self) -> None:
        terminal = self._terminal
        terminal.title("Delete the secret in the vault: the Secret stays, and the condition says why")
        before = self._target_data()
        terminal.run(f"python -m demo.vault delete {SECRET}")
        self._time(
            "secret deleted in the vault → said so", lambda: self._reason() == "SecretSoftDeleted", within=REFRESH + 2
        )
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecrets,secrets")
        terminal.run(f"kubectl get -n {NAMESPACE} vaultsecret db -o jsonpath='{{.status.conditions[0].message}}'; echo")
        terminal.check("the Secret is as it was", holds=self._target_data() == before)

    def _recover_source(self) -> None:
        terminal = self._terminal
        terminal.title("Recover it: in sync again")
        terminal.run(f"python -m demo.vault recover {SECRET}")
        self._await_ready(within=REFRESH + 2)

    def _restart(self) -> None:
        terminal = self._terminal
        took = self._stage.stop_operator()
        calls = self._stage.vault().calls()
        self._start_operator("Restart the operator: it reads no value")
        terminal.say(f"(it had stopped within {took:.1f} s)")
        terminal.wait_until("it has polled the vault", self._has_polled, within=5)
        since = self._stage.vault().calls() - calls
        terminal.say(f"calls to the vault since the restart: {dict(since)}")
        terminal.check("no value was read", holds=since["get"] == 0)

    def _delete_vault_secret(self) -> None:
        terminal = self._terminal
        terminal.title("Delete the VaultSecret: the garbage collector takes the Secret")
        terminal.run(f"kubectl describe -n {NAMESPACE} vaultsecret db | sed -n '/^Events/,$p'")
        terminal.run(f"kubectl delete -n {NAMESPACE} vaultsecret db")
        self._time("VaultSecret deleted → Secret gone", lambda: not self._target(), within=NEW_KINDS)

    def _summary(self) -> None:
        terminal = self._terminal
        terminal.title("What it took")
        terminal.table({what: f"{seconds:.1f} s" for what, seconds in self._times.items()})
        terminal.say("")
        terminal.say("calls to the vault, by kind:")
        terminal.table({kind: str(count) for kind, count in sorted(self._stage.vault().calls().items())})

    def _time(self, what: str, holds: Callable[[], bool], *, within: float) -> None:
        self._times[what] = self._terminal.wait_until(what, holds, within=within)

    def _await_ready(self, *, within: float = 5) -> None:
        self._terminal.wait_until("the VaultSecret is Ready", lambda: self._reason() == "Synced", within=within)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _has_polled(self) -> bool:
        metrics = httpx.get(f"http://127.0.0.1:{self._port}/metrics", trust_env=False).text
        return any(
            line.startswith("vaultsync_polls_total{") and 'result="Synced"' in line for line in metrics.splitlines()
        )

    def _holds_vaults_value(self) -> bool:
        data = self._target_data()
        if data is None or data.keys() != {"password"}:
            return False
        return base64.b64decode(data["password"]).decode() == self._stage.vault().value(SECRET)

    def _target_data(self) -> dict[str, str] | None:
        target = self._target()
        return json.loads(target).get("data") if target else None

    def _target(self) -> str:
        return self._terminal.ask("kubectl", "get", "-n", NAMESPACE, "secret", "db", "-o", "json")

    def _reason(self) -> str:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
        return self._terminal.ask("kubectl", "get", "-n", NAMESPACE, "vaultsecret", "db", "-o", path)


def _short(path: Path) -> Path:
    return path.relative_to(ROOT)
