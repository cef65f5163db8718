"""CustomResourceDefinitions of a cluster compared with those of this version."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from vaultsync.api.schema import vault_grant_crd, vault_secret_crd
from vaultsync.cli.doctor.crds import crd_finding
from vaultsync.cli.doctor.findings import Result

Schema = dict[str, Any]


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    crd = copy.deepcopy(vault_secret_crd())
    change(crd)
    return crd


def spec_of(crd: dict[str, Any]) -> Schema:
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def a_new_field(crd: dict[str, Any]) -> None:
    spec_of(crd)["properties"]["data"]["items"]["properties"]["colour"] = {"type": "string"}


def rejected_names(crd: dict[str, Any]) -> None:
    crd["status"] = {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "vsec is taken"}]}


@pytest.mark.parametrize("crd", [vault_secret_crd(), vault_grant_crd()], ids=["VaultSecret", "VaultGrant"])
def test_ours_is_that_of_this_version(crd: dict[str, Any]) -> None:
    assert crd_finding("ours", crd, crd).result is Result.OK


@pytest.mark.parametrize(
    ("found", "result", "said"),
    [
        pytest.param(None, Result.FAILED, "is not installed", id="missing"),
        pytest.param(
            changed(lambda crd: spec_of(crd)["properties"].pop("deleteAfter")),
            Result.FAILED,
            "is older than vaultsync 0.1.0: it lacks spec.deleteAfter.",
            id="older",
        ),
        pytest.param(
            changed(a_new_field),
            Result.UNKNOWN,
            "is newer than vaultsync 0.1.0: it has spec.data.colour, too.",
            id="newer",
        ),
        pytest.param(
            changed(lambda crd: spec_of(crd)["properties"]["suspend"].update(type="string")),
            Result.FAILED,
            "has other rules",
            id="other rules",
        ),
        pytest.param(
            changed(lambda crd: spec_of(crd)["properties"]["suspend"].update(description="Other words.")),
            Result.OK,
            "is that of vaultsync",
            id="other descriptions",
        ),
        pytest.param(
            changed(lambda crd: crd["spec"]["versions"][0].update(served=False)),
            Result.FAILED,
            "does not serve version v1alpha1",
            id="not served",
        ),
        pytest.param(changed(rejected_names), Result.FAILED, "is not in use: vsec is taken", id="names are taken"),
    ],
)
def test_another_one_is_named_by_its_difference(found: dict[str, Any] | None, result: Result, said: str) -> None:
    finding = crd_finding("vaultsecrets.vaultsync.dev", found, vault_secret_crd())

    assert finding.result is result
    assert said in finding.text
    assert (finding.advice != "") is (result is not Result.OK)
