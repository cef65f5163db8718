"""The rights that the commands need."""

from vaultsync.adapters.kube.reader import PODS, SECRETS, VAULTSECRETS, Right
from vaultsync.cli.doctor.findings import Result
from vaultsync.cli.doctor.rights import Need, Rights, finding, needs


def test_the_rights_are_those_of_the_namespace() -> None:
    texts = [str(need.right) for need in needs("shop", lease_namespace="kube-system")]

    assert texts == [
        "list vaultsecrets.vaultsync.dev in namespace shop",
        "list vaultgrants.vaultsync.dev",
        "get customresourcedefinitions.apiextensions.k8s.io",
        "list leases.coordination.k8s.io in namespace kube-system",
        "patch vaultsecrets.vaultsync.dev in namespace shop",
        "list pods in namespace shop",
    ]


def test_for_one_vaultsecret_few_are_needed() -> None:
    texts = [str(need.right) for need in needs("shop", lease_namespace="kube-system", name="db", target="login")]

    assert texts[0] == "get vaultsecrets.vaultsync.dev/db in namespace shop"
    assert "get secrets/login in namespace shop" in texts


def test_for_all_namespaces_they_hold_everywhere() -> None:
    assert (
        str(next(needs(None, lease_namespace="kube-system")).right)
        == "list vaultsecrets.vaultsync.dev in all namespaces"
    )


def test_a_right_that_is_missing_is_named_with_what_is_not_seen() -> None:
    need = Need(Right("list", PODS, "shop"), "no pods are shown")

    assert finding(need, is_allowed=True).result is Result.OK
    denied = finding(need, is_allowed=False)
    assert (denied.result, denied.text) == (
        Result.UNKNOWN,
        "You may not list pods in namespace shop: no pods are shown.",
    )
    assert denied.advice == "Ask for the right to list pods in namespace shop."


def test_without_the_essential_one_nothing_can_be_checked() -> None:
    assert (
        finding(Need(Right("list", VAULTSECRETS), "nothing", is_essential=True), is_allowed=False).result
        is Result.FAILED
    )


def test_what_is_denied_is_remembered() -> None:
    rights = Rights()
    rights.deny("get", SECRETS)

    assert not rights.allow("get", SECRETS)
    assert rights.allow("list", SECRETS)
