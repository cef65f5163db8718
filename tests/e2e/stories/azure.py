"""What the Azure CLI would do to a vault, done to an emulated one; parses no shell and knows few commands."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.emulator.client import EmulatedVault
from tests.unit.vaultsync.render.authorities import a_line, in_pkcs12
from vaultsync.render.certificates import PKCS12_TYPE

VAULT: Final = "shop"
"""What the guides call the vault."""


def carry_out(vault: EmulatedVault, words: Sequence[str]) -> str | None:
    """Do what a command says whose words these are, those after `az`; the id of the version that it made, if any.

    https://learn.microsoft.com/cli/azure/keyvault
    """
    verbs = tuple(word for word in words[:3] if not word.startswith("--"))
    names, values = words[len(verbs) :: 2], words[len(verbs) + 1 :: 2]
    options = dict(zip(names, values, strict=True))
    if verbs == ("keyvault", "update"):
        assert options.pop("--name") == VAULT
        _set_firewall(vault, **_arguments(options))
        return None
    assert options.pop("--vault-name") == VAULT
    return _DEEDS[verbs](vault, **_arguments(options))


def _arguments(options: dict[str, str]) -> dict[str, str]:
    return {option.removeprefix("--").replace("-", "_"): value for option, value in options.items()}


def _set_firewall(vault: EmulatedVault, default_action: str) -> None:
    {"Deny": vault.close_firewall, "Allow": vault.open_firewall}[default_action]()


def _set(
    vault: EmulatedVault, *, name: str, value: str, tags: str = "", expires: str = "", not_before: str = ""
) -> str:
    dates: dict[str, Any] = {"expires_on": _moment(expires), "not_before": _moment(not_before)}
    return vault.set(name, value, tags=dict(tag.split("=") for tag in tags.split()), **dates)


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _set_attributes(vault: EmulatedVault, *, name: str, enabled: str) -> None:
    {"true": vault.enable, "false": vault.disable}[enabled](name)


def _import_certificate(vault: EmulatedVault, *, name: str, file: str) -> str:
    assert file == "shop.pfx"
    leaf, *issuers = a_line()
    value = in_pkcs12(leaf.key, [party.certificate for party in (leaf, *issuers)])
    return vault.set(name, value, content_type=PKCS12_TYPE)


_DEEDS: Final[Mapping[tuple[str, ...], Callable[..., str | None]]] = {
    ("keyvault", "secret", "set"): _set,
    ("keyvault", "secret", "set-attributes"): _set_attributes,
    ("keyvault", "secret", "delete"): EmulatedVault.delete,
    ("keyvault", "secret", "recover"): EmulatedVault.recover,
    ("keyvault", "secret", "purge"): EmulatedVault.purge,
    ("keyvault", "certificate", "import"): _import_certificate,
}
