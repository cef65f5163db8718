"""Runs the sections of a guide step by step, each with its own harness; knows no section.

The guides use the namespace and the vault `shop`; a harness has others. Commands and manifests are translated to
the names of the harness, and what is observed back to those of the guide before both are compared.
"""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from tests.e2e.harness import REFRESH, Harness
from tests.e2e.kubernetes import Object
from tests.e2e.scenarios.azure_cli import VAULT, Version, run_commands
from tests.e2e.scenarios.guide import Applied, Command, Document, Observed, Printed, Section, Step
from tests.e2e.vault_api import set_dates

SHORTER: Final = {"1h": "1m"}
"""The `deleteAfter` of a guide, and the shortest one that is allowed."""

_NAMESPACE: Final = "shop"
_URL: Final = f"https://{VAULT}.vault.azure.net"
_NAMED: Final = re.compile(rf"((?:-n|namespace) ){_NAMESPACE}\b")
"""Where a command names the namespace: after `-n`, and after `namespace`."""
_GRANT: Final = re.compile(r"(?<=vaultgrant )shop\b")
"""Where a command names the grant of the vault."""
_ANYTHING: Final = "…"
_RECORDING: Final = r"""az() { printf '%s\0' "$@"; printf '\36'; }"""
"""A function for the shell that only prints the words of a command of the Azure CLI."""


@dataclass(slots=True)
class GuideRunner:
    """Runs one section."""

    harness: Harness
    name: str = ""
    """The VaultSecret that was applied last."""
    version: str | None = None
    """The version that was set last in the vault; a manifest that pins one means this."""
    _inactive: list[Version] = field(default_factory=list)
    """Versions that are not to be used before a date in the future."""
    _is_reported: bool = False
    """Whether a status was observed since the last command."""

    def run(self, section: Section) -> None:
        """Run each command, and wait each time until all is observed that the guide shows."""
        for step in section.steps:
            self._run_step(step)

    def _run_step(self, step: Step) -> None:
        match step:
            case Command(line):
                self._run_command(line)
            case Applied(manifest):
                self._apply(manifest)
            case Observed({"kind": "Secret"} as secret):
                self._await_secret(_in_full(secret))
            case Observed(document):
                self._await_vault_secret(document)
            case Printed(line, output):
                self._await(_words(output), lambda: _words(self._shell(line).stdout))
            case _:
                assert_never(step)

    # what users do

    def _run_command(self, line: str) -> None:
        done = self._shell(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        *commands, _ = done.stdout.split("\36")
        versions = run_commands(self.harness.vault, [command.split("\0")[:-1] for command in commands])
        self._inactive += [version for version in versions if version.is_inactive]
        self.version = versions[-1].id if versions else self.version
        self._is_reported = False
        if self.name:
            self.harness.expect_current(self.name)

    def _shell(self, line: str) -> "subprocess.CompletedProcess[str]":
        here = _NAMED.sub(rf"\g<1>{self.harness.namespace}", line)
        here = _GRANT.sub(f"{self.harness.namespace}-1", here)
        for longer, shorter in SHORTER.items():
            here = here.replace(longer, shorter)
        return subprocess.run(
            ["/bin/sh", "-euc", f"{_RECORDING}\n{here}"],
            env=self.harness.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _apply(self, manifest: Document) -> None:
        metadata, spec = manifest["metadata"], manifest["spec"]
        assert (metadata["namespace"], spec["vaultUrl"]) == (_NAMESPACE, _URL)
        self.name = metadata["name"]
        body = manifest | {
            "metadata": metadata | {"namespace": self.harness.namespace},
            "spec": {"refreshInterval": REFRESH} | spec | {"vaultUrl": self.harness.vault.url},
        }
        if "deleteAfter" in spec:
            body["spec"]["deleteAfter"] = SHORTER[spec["deleteAfter"]]
        for entry in spec.get("data", ()):
            if "version" in entry:
                entry["version"] = self.version
        self.harness.apply_manifest(body)

    # what users observe

    def _await(self, expected: object, observe: Callable[[], object]) -> None:
        seen: list[object] = []

        def is_observed() -> bool:
            seen.append(self._translated(observe()))
            return _fits(expected, seen[-1])

        try:
            self.harness.eventually(is_observed, "what the guide shows")
        except AssertionError as error:
            raise AssertionError(f"{error}\nexpected: {expected}\nobserved: {seen[-1]}") from None

    def _await_secret(self, expected: Document) -> None:
        if self._is_reported and not _fits(expected, self._translated(self._secret(expected))):
            self._activate_versions()
        self._await(expected, lambda: self._secret(expected))

    def _activate_versions(self) -> None:
        """Advance to the moment for which versions wait, after they were observed to wait."""
        for version in self._inactive:
            past = datetime.now(UTC) - timedelta(minutes=1)
            set_dates(self.harness.emulator, self.harness.vault, version.name, version.id, not_before=past)
        self._inactive.clear()

    def _await_vault_secret(self, expected: Document) -> None:
        """Wait for events, and for a state of the VaultSecret, which may last for a moment."""
        if "status" in expected:
            self.harness.await_state(
                lambda state: _fits(expected["status"], self._translated(_status(state))), f"{expected}", self.name
            )
        if "events" in expected:
            self._await(expected["events"], lambda: [one._asdict() for one in self.harness.events(self.name)])
        assert expected.keys() <= {"status", "events"}
        self._is_reported = True

    def _translated(self, observed: object) -> object:
        text = json.dumps(observed)
        return json.loads(text.replace(self.harness.vault.url, _URL).replace(self.harness.namespace, _NAMESPACE))

    def _secret(self, expected: Document) -> Document | None:
        name = expected["metadata"]["name"]
        secret, content = self.harness.secret(name), self.harness.content(name)
        if secret is None or content is None:
            return None
        texts = {key: value.decode(errors="replace") for key, value in content.items()}
        return {"immutable": False} | secret | {"stringData": texts, "keys": sorted(texts)}


def _status(state: Object) -> Document:
    """The status in one state of a VaultSecret, without conditions about an older generation of its spec."""
    status: Document = state.get("status", {})
    generation = state["metadata"]["generation"]
    conditions = [one for one in status.get("conditions", ()) if one["observedGeneration"] == generation]
    return status | {"conditions": conditions}


def _in_full(expected: Document) -> Document:
    """Add the defaults to what a guide shows of a Secret."""
    return {"type": "Opaque", "immutable": False} | expected | {"keys": sorted(expected["stringData"])}


def _words(text: str) -> str:
    """The text without the padding of columns."""
    return " ".join(text.split())


def _fits(expected: object, observed: object) -> bool:
    """Whether all that is expected is observed; there may be more, and lists may have another order."""
    match expected:
        case dict():
            return isinstance(observed, dict) and all(
                name in observed and _fits(expected[name], observed[name]) for name in expected
            )
        case list():
            return isinstance(observed, list) and all(any(_fits(one, other) for other in observed) for one in expected)
        case str():
            pattern = ".*".join(map(re.escape, expected.split(_ANYTHING)))
            return isinstance(observed, str) and re.fullmatch(pattern, observed, re.DOTALL) is not None
        case _:
            return expected == observed
