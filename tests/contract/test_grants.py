"""docs/grants.md, and the grants in other pages, agree with the code."""

import re
from typing import Any, Final

import pytest

from tests.builders import a_grant, a_vault_secret
from tests.contract.test_operations import ROOT
from tests.manifests import as_stored, documented
from vaultsync.api import GRANT_KIND
from vaultsync.api.grants import VaultGrant
from vaultsync.api.schema import vault_grant_crd
from vaultsync.api.v1alpha1 import MetadataFrom, OnSourceDeleted, Restart, TargetSpec, VaultSecret, WorkloadKind
from vaultsync.policy.grants import decide
from vaultsync.state.grants import GrantView, Refused

PAGE: Final = ROOT / "docs" / "grants.md"

REFUSED: Final[list[tuple[VaultGrant, VaultSecret]]] = [
    (a_grant(namespaces={"names": ["web"]}), a_vault_secret()),
    (a_grant(secrets=["web-*"]), a_vault_secret()),
    (a_grant(), a_vault_secret(target=TargetSpec(type="example.com/own"))),
    (a_grant(), a_vault_secret(target=TargetSpec(adopt=True))),
    (a_grant(), a_vault_secret(restart=(Restart(kind=WorkloadKind.DEPLOYMENT, name="web"),))),
    (a_grant(), a_vault_secret(on_source_deleted=OnSourceDeleted.DELETE)),
    (a_grant(), a_vault_secret(target=TargetSpec(labels={"example.com/team": "shop"}))),
    (a_grant(), a_vault_secret(target=TargetSpec(metadata_from=MetadataFrom(labels={"example.com/team": "shop"})))),
    (a_grant(), a_vault_secret(target=TargetSpec(annotations={"example.com/note": "a"}))),
    (a_grant(), a_vault_secret(target=TargetSpec(metadata_from=MetadataFrom(annotations={"example.com/note": "a"})))),
]
"""A grant and a VaultSecret that it does not allow, for each message."""


def test_the_page_has_the_messages_in_their_order() -> None:
    decisions = [decide(refused, GrantView({"shop": grant}, {})) for grant, refused in REFUSED]
    section = PAGE.read_text().partition("## When it does not allow")[2].partition("\n## ")[0]
    documented_messages = re.findall(r"^\|[^|]*\| (.+) \|$", section, re.MULTILINE)[1:]

    assert documented_messages == [one.message for one in decisions if isinstance(one, Refused)]


def test_the_page_shows_the_columns_of_kubectl_get() -> None:
    columns = vault_grant_crd()["spec"]["versions"][0]["additionalPrinterColumns"]
    narrow = [one["name"].upper() for one in columns if "priority" not in one]

    shown = PAGE.read_text().partition("$ kubectl get vaultgrants\n")[2].splitlines()[0].split()

    assert shown == ["NAME", *narrow]


@pytest.mark.parametrize("example", documented(GRANT_KIND).values(), ids=documented(GRANT_KIND))
def test_a_grant_in_the_documentation_is_valid(example: dict[str, Any]) -> None:
    VaultGrant.parse(as_stored(example))
