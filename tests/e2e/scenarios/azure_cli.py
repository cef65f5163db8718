"""The few commands of the Azure CLI that the guides use, carried out on an emulated vault; parses no shell."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tests.emulator.client import EmulatedVault
from tests.unit.vaultsync.render.authorities import a_line, in_pkcs12

VAULT: Final = "shop"
"""The name of the vault in the guides."""

PKCS12_TYPE: Final = "application/x-pkcs12"
"""The content type of a certificate that was imported from a PFX file."""

_UPDATE: Final = ("keyvault", "update")
_DELETE: Final = ("keyvault", "secret", "delete")


@dataclass(frozen=True, slots=True)
class Version:
    """A version that a command has set, and whether it is not to be used yet."""

    name: str
    id: str
    is_inactive: bool


def run_commands(vault: EmulatedVault, commands: Sequence[Sequence[str]]) -> list[Version]:
    """Do what commands do, each given as its words after `az`; returns the versions that they have set.

    Commands that all delete secrets are carried out between two polls, as if the vault were polled seldom.
    https://learn.microsoft.com/cli/azure/keyvault
    """
    parsed = [_parsed(words) for words in commands]
    if parsed and all(verbs == _DELETE for verbs, _ in parsed):
        vault.delete(*(arguments["name"] for _, arguments in parsed))
        return []
    done = [_COMMANDS[verbs](vault, **arguments) for verbs, arguments in parsed]
    return [version for version in done if version is not None]


def _parsed(words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    verbs = tuple(word for word in words[:3] if not word.startswith("--"))
    names, values = words[len(verbs) :: 2], words[len(verbs) + 1 :: 2]
    options = dict(zip(names, values, strict=True))
    assert options.pop("--name" if verbs == _UPDATE else "--vault-name") == VAULT
    return verbs, _arguments(options)


def _arguments(options: dict[str, str]) -> dict[str, str]:
    return {option.removeprefix("--").replace("-", "_"): value for option, value in options.items()}


def _set_firewall(vault: EmulatedVault, default_action: str) -> None:
    {"Deny": vault.close_firewall, "Allow": vault.open_firewall}[default_action]()


def _set(
    vault: EmulatedVault,
    *,
    name: str,
    value: str = "",
    tags: str = "",
    expires: str = "",
    not_before: str = "",
    **file: str,
) -> Version:
    if file:
        return _set_file(vault, name=name, **file)
    active = _moment(not_before)
    dates: dict[str, Any] = {"expires_on": _moment(expires), "not_before": active}
    version = vault.set(name, value, tags=_tags(tags), **dates)
    return Version(name, version, active is not None and active > datetime.now(UTC))


def _set_file(vault: EmulatedVault, *, name: str, file: str, encoding: str) -> Version:
    assert (file, encoding) == ("hello.txt", "base64")
    text = base64.encodebytes(b"hello").decode()
    return Version(name, vault.set(name, text, tags={"file-encoding": encoding}), is_inactive=False)


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _tags(text: str) -> dict[str, str]:
    return dict(tag.split("=") for tag in text.split())


def _set_attributes(vault: EmulatedVault, *, name: str, enabled: str = "", tags: str = "") -> None:
    if enabled:
        {"true": vault.enable, "false": vault.disable}[enabled](name)
    if tags:
        vault.tag(name, _tags(tags))


def _delete(vault: EmulatedVault, *, name: str) -> None:
    vault.delete(name)


def _recover(vault: EmulatedVault, *, name: str) -> None:
    vault.recover(name)


def _import_certificate(vault: EmulatedVault, *, name: str, file: str) -> Version:
    assert file == "shop.pfx"
    leaf, *issuers = a_line()
    value = in_pkcs12(leaf.key, [party.certificate for party in (leaf, *issuers)])
    return Version(name, vault.set(name, value, content_type=PKCS12_TYPE, managed=True), is_inactive=False)


_COMMANDS: Final[Mapping[tuple[str, ...], Callable[..., Version | None]]] = {
    _UPDATE: _set_firewall,
    ("keyvault", "secret", "set"): _set,
    ("keyvault", "secret", "set-attributes"): _set_attributes,
    _DELETE: _delete,
    ("keyvault", "secret", "recover"): _recover,
    ("keyvault", "secret", "purge"): EmulatedVault.purge,
    ("keyvault", "certificate", "import"): _import_certificate,
}
