"""Plays what a guide tells, step by step, in a scene of its own; knows no story.

The guides speak of the namespace and the vault `shop`; the scene has others. What is done is put into the scene's
words, and what is seen into those of the guide before both are compared.
"""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from tests.e2e.scene import NEXT_POLL, POLL, Scene, eventually
from tests.e2e.stories.azure import VAULT, carry_out
from tests.e2e.stories.told import Applied, Command, Document, Printed, Shown, Step, Told
from vaultsync.api import PLURAL

SOONER: Final = {"1h": "1m", "+1 hour": "+45 seconds"}
"""What a guide waits for and a test does not: `deleteAfter`, of which this is the least, and dates in commands."""

_INTERVAL: Final = f"{POLL:g}s"
"""How often vaults are asked, where a guide does not say."""

_PATIENCE: Final = 60.0 + NEXT_POLL
"""Seconds within which all is to be seen that a guide shows: the least `deleteAfter`, and a poll."""

_NAMESPACE: Final = "shop"
_URL: Final = f"https://{VAULT}.vault.azure.net"
_NAMED: Final = re.compile(rf"((?:-n|namespace) ){_NAMESPACE}\b")
"""Where a command names the namespace: after `-n`, and after `namespace`."""
_ANYTHING: Final = "…"
_LISTENING: Final = r"""az() { printf '%s\0' "$@"; printf '\36'; }"""
"""A function for the shell that does nothing but say what the Azure CLI is told to do."""


@dataclass(slots=True)
class Player:
    """Plays one story."""

    scene: Scene
    name: str = ""
    """The VaultSecret that was applied last."""
    version: str | None = None
    """The version that was made last in the vault; a manifest that pins one means this."""

    def play(self, told: Told) -> None:
        """Do all that is told to be done, and wait each time until all is seen that is told to be seen."""
        for step in told.steps:
            self._play(step)

    def _play(self, step: Step) -> None:
        match step:
            case Command(line):
                self._carry_out(line)
            case Applied(manifest):
                self._apply(manifest)
            case Shown({"kind": "Secret"} as secret):
                self._await(_in_full(secret), lambda: self._secret(secret))
            case Shown(document):
                self._await(document, self._fared)
            case Printed(line, output):
                self._await(_words(output), lambda: _words(self._run(line).stdout))
            case _:
                assert_never(step)

    # what is done

    def _carry_out(self, line: str) -> None:
        done = self._run(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        *commands, _ = done.stdout.split("\36")
        for command in commands:
            self.version = carry_out(self.scene.vault, command.split("\0")[:-1]) or self.version

    def _run(self, line: str) -> "subprocess.CompletedProcess[str]":
        here = _NAMED.sub(rf"\g<1>{self.scene.namespace}", line)
        for later, sooner in SOONER.items():
            here = here.replace(later, sooner)
        return subprocess.run(
            ["/bin/sh", "-euc", f"{_LISTENING}\n{here}"],
            env=self.scene.environ,
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
            "metadata": metadata | {"namespace": self.scene.namespace},
            "spec": {"refreshInterval": _INTERVAL} | spec | {"vaultUrl": self.scene.vault.url},
        }
        if "deleteAfter" in spec:
            body["spec"]["deleteAfter"] = SOONER[spec["deleteAfter"]]
        for entry in spec.get("data", ()):
            if "version" in entry:
                entry["version"] = self.version
        self.scene.api.apply(self.scene.path(PLURAL, self.name), body)

    # what is seen

    def _await(self, told: object, look: Callable[[], object]) -> None:
        seen: list[object] = []

        def fits() -> bool:
            seen.append(json.loads(self._in_the_guides_words(json.dumps(look()))))
            return _fits(told, seen[-1])

        try:
            eventually(fits, "it is as told", within=_PATIENCE)
        except AssertionError:
            raise AssertionError(f"told: {told}\nseen: {seen[-1]}") from None

    def _in_the_guides_words(self, text: str) -> str:
        return text.replace(self.scene.vault.url, _URL).replace(self.scene.namespace, _NAMESPACE)

    def _secret(self, told: Document) -> Document | None:
        name = told["metadata"]["name"]
        secret, content = self.scene.secret(name), self.scene.content(name)
        if secret is None or content is None:
            return None
        texts = {key: value.decode(errors="replace") for key, value in content.items()}
        return {"immutable": False} | secret | {"stringData": texts, "keys": sorted(texts)}

    def _fared(self) -> Document:
        """How the VaultSecret fares; a condition about an older generation of it is none."""
        found = self.scene.vault_secret(self.name) or {"metadata": {"generation": 0}}
        status, generation = found.get("status", {}), found["metadata"]["generation"]
        conditions = [one for one in status.get("conditions", ()) if one["observedGeneration"] == generation]
        events = [event._asdict() for event in self.scene.events(self.name)]
        return {"status": status | {"conditions": conditions}, "events": events}


def _in_full(told: Document) -> Document:
    """Add to what is told of a Secret what goes without saying."""
    return {"type": "Opaque", "immutable": False} | told | {"keys": sorted(told["stringData"])}


def _words(text: str) -> str:
    """Without the widths of columns."""
    return " ".join(text.split())


def _fits(told: object, seen: object) -> bool:
    """Tell whether all that is told is seen; more may be seen, and lists may have another order."""
    match told:
        case dict():
            return isinstance(seen, dict) and all(name in seen and _fits(told[name], seen[name]) for name in told)
        case list():
            return isinstance(seen, list) and all(any(_fits(one, other) for other in seen) for one in told)
        case str():
            pattern = ".*".join(map(re.escape, told.split(_ANYTHING)))
            return isinstance(seen, str) and re.fullmatch(pattern, seen, re.DOTALL) is not None
        case _:
            return told == seen
