"""The guide is true: each of its stories is played as it is told, and the Secret is the one that it shows."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.e2e.scene import NEXT_POLL, POLL, Scene, eventually
from tests.e2e.together import story
from tests.unit.vaultsync.rules.authorities import a_line, in_pkcs12
from vaultsync.api import PLURAL
from vaultsync.rules.certificates import PKCS12_TYPE

GUIDE: Final = Path(__file__).parents[3] / "docs" / "guide.md"
_BLOCK: Final = re.compile(r"^```(?P<kind>sh|yaml)\n(?P<content>.*?)^```", re.MULTILINE | re.DOTALL)
_ANYTHING: Final = "…"


@dataclass(frozen=True, slots=True)
class Told:
    """One story of the guide."""

    title: str
    commands: tuple[str, ...]
    manifest: dict[str, Any]
    secret: dict[str, Any]


def told() -> list[Told]:
    """All stories of the guide, each under a heading with three blocks: commands, manifest, Secret."""
    _, *sections = GUIDE.read_text().split("\n## ")
    return [_story(section) for section in sections]


def _story(section: str) -> Told:
    title, _, text = section.partition("\n")
    commands, manifest, secret = (block["content"] for block in _BLOCK.finditer(text))
    return Told(title, tuple(commands.splitlines()), yaml.safe_load(manifest), yaml.safe_load(secret))


def carry_out(scene: Scene, command: str) -> None:
    """Do to the story's vault what the Azure CLI would do to the one of the guide."""
    _az, _keyvault, kind, verb, *words = shlex.split(command)
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options["--vault-name"] == "shop"
    if (kind, verb) == ("secret", "set"):
        tags = dict(tag.split("=") for tag in options.get("--tags", "").split())
        scene.vault.set(options["--name"], options["--value"], tags=tags)
        return
    assert (kind, verb) == ("certificate", "import")
    leaf, *issuers = a_line()
    value = in_pkcs12(leaf.key, [party.certificate for party in (leaf, *issuers)])
    scene.vault.set(options["--name"], value, content_type=PKCS12_TYPE)


def shown(scene: Scene, told: Told) -> dict[str, Any] | None:
    """The Secret as the guide would show it."""
    name = told.secret["metadata"]["name"]
    secret, content = scene.secret(name), scene.content(name)
    if secret is None or content is None:
        return None
    wanted = told.secret["stringData"]
    texts = {key: _ANYTHING if wanted.get(key) == _ANYTHING else value.decode() for key, value in content.items()}
    sealed = {"immutable": True} if secret.get("immutable") else {}
    return {
        "kind": "Secret",
        "metadata": told.secret["metadata"],
        "type": secret["type"],
        **sealed,
        "stringData": texts,
    }


@story
@pytest.mark.parametrize("told", told(), ids=lambda told: told.title)
def test_the_guide_tells_the_truth_about(scene: Scene, told: Told) -> None:
    assert told.manifest["spec"]["vaultUrl"] == "https://shop.vault.azure.net"
    for command in told.commands:
        carry_out(scene, command)

    body = told.manifest | {
        "metadata": told.manifest["metadata"] | {"namespace": scene.namespace},
        "spec": told.manifest["spec"] | {"vaultUrl": scene.vault.url, "refreshInterval": f"{POLL:g}s"},
    }
    scene.api.apply(scene.path(PLURAL, body["metadata"]["name"]), body)

    eventually(
        lambda: shown(scene, told) == told.secret,
        f"{told.title}: {scene.ready(body['metadata']['name'])}",
        within=NEXT_POLL,
    )
    assert scene.await_reason("Synced", body["metadata"]["name"]).status == "True"
