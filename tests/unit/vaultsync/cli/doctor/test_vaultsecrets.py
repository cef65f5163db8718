"""What is wrong with VaultSecrets, by what the API server returns of them and of the grants."""

from datetime import timedelta
from typing import Any

import pytest

from tests.builders import READ_AT, UID, a_grant, a_status, a_status_entry
from tests.manifests import URL, as_stored, manifest, spec
from vaultsync.api import MANAGED_BY, MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import Condition, StatusMissing, StatusRestart, VaultSecretStatus, WorkloadKind
from vaultsync.cli.doctor.command import wanted_of, wanted_of_one
from vaultsync.cli.doctor.findings import Finding, Result
from vaultsync.cli.doctor.vaultsecrets import (
    MAX_SHOWN,
    Found,
    all_findings,
    brief_from,
    found_from,
    grant_findings,
    one_findings,
    target_finding,
)
from vaultsync.state.grants import GrantView
from vaultsync.state.secrets import SecretRef

ASK = "ask whoever administers the cluster for one."
NOW = READ_AT + timedelta(hours=1)
GRANTED = GrantView({"shop": a_grant()}, {})


def body(status: VaultSecretStatus | None = None, *, name: str = "db", **changes: object) -> dict[str, Any]:
    written = a_status() if status is None else status
    stored = as_stored(manifest({**spec(), **changes}, name=name, namespace="shop"))
    return {**stored, "status": written.changed(observed_generation=1).to_wire()}


def found(status: VaultSecretStatus | None = None, **changes: object) -> Found:
    return found_from(body(status, name="db", **changes))


def a_condition(kind: str, reason: str) -> Condition:
    return Condition(type=kind, status="True", reason=reason, message="Details.", last_transition_time=READ_AT)


def with_condition(kind: str, reason: str) -> VaultSecretStatus:
    status = a_status()
    return status.changed(conditions=(*status.conditions, a_condition(kind, reason)))


def results(findings: list[Finding]) -> list[tuple[Result, str]]:
    return [(one.result, one.text) for one in findings]


@pytest.mark.parametrize(
    ("one", "view", "line"),
    [
        pytest.param(body(), GRANTED, (Result.OK, "1 of 1 VaultSecrets are ready."), id="in sync"),
        pytest.param(body(), None, (Result.OK, "1 of 1 VaultSecrets are ready."), id="grants are not known"),
        pytest.param(
            body(a_status(reason="AccessDenied")),
            GRANTED,
            (Result.FAILED, "shop/db: AccessDenied: Details."),
            id="not ready",
        ),
        pytest.param(
            body(a_status(reason="Suspended")),
            GRANTED,
            (Result.UNKNOWN, "shop/db: Suspended: Details."),
            id="suspended",
        ),
        pytest.param(
            body(),
            GrantView(),
            (
                Result.FAILED,
                f"shop/db: NotGranted: No VaultGrant allows namespace shop to use vault {URL}; {ASK}",
            ),
            id="a grant that is gone",
        ),
        pytest.param(
            body(a_status(reason="NotGranted", message="As the operator says.")),
            GrantView(),
            (Result.FAILED, "shop/db: NotGranted: As the operator says."),
            id="no grant",
        ),
    ],
)
def test_a_vaultsecret_of_many_has_one_line(
    one: dict[str, Any], view: GrantView | None, line: tuple[Result, str]
) -> None:
    assert results(list(all_findings([brief_from(one, view)]))) == [line]


def test_of_many_that_are_wrong_the_first_are_shown() -> None:
    denied = a_status(reason="AccessDenied")
    many = [brief_from(body(denied, name=f"db-{number}"), GRANTED) for number in range(MAX_SHOWN + 3)]

    lines = list(all_findings(many))

    assert len(lines) == MAX_SHOWN + 1
    assert lines[-1].text == "3 more VaultSecrets are not ready."


@pytest.mark.parametrize(
    ("one", "line"),
    [
        pytest.param(found(), (Result.OK, "Synced: Details."), id="in sync"),
        pytest.param(found(), (Result.OK, "VaultGrant shop allows it."), id="granted"),
        pytest.param(
            found(target={"adopt": True}),
            (Result.FAILED, "VaultGrant shop: target.adopt needs allow.adopt."),
            id="more than is granted",
        ),
        pytest.param(
            found(a_status(reason="SecretDisabled")), (Result.FAILED, "SecretDisabled: Details."), id="not ready"
        ),
        pytest.param(found(suspend=True), (Result.UNKNOWN, "It is suspended: the vault is not read."), id="suspended"),
        pytest.param(
            found(data=[{"key": "no key", "secretName": "db"}]),
            (Result.FAILED, "This version does not accept the spec: spec.data[0].key: "),
            id="a spec that is not valid",
        ),
        pytest.param(found(with_condition("Stale", "NotConfirmed")), (Result.FAILED, "Details."), id="stale"),
        pytest.param(found(with_condition("Expiring", "Expired")), (Result.FAILED, "Expired: Details."), id="expired"),
        pytest.param(
            found(with_condition("Expiring", "ExpiresSoon")), (Result.UNKNOWN, "ExpiresSoon: Details."), id="expires"
        ),
        pytest.param(
            found(a_status().changed(missing=(StatusMissing(secret_name="gone", since=READ_AT),))),
            (Result.UNKNOWN, "The vault has not provided gone since 2026-03-01 12:30:00 UTC."),
            id="a secret that is missing",
        ),
        pytest.param(
            found(
                a_status().changed(
                    restarts=(StatusRestart(kind=WorkloadKind.DEPLOYMENT, name="web", at=READ_AT, problem="Gone."),)
                )
            ),
            (Result.FAILED, "Deployment web was not restarted: Gone."),
            id="a restart that failed",
        ),
    ],
)
def test_one_vaultsecret_is_explained(one: Found, line: tuple[Result, str]) -> None:
    lines = results(list(one_findings(one, GRANTED, now=NOW)))

    assert any(result is line[0] and text.startswith(line[1]) for result, text in lines), lines


def test_one_that_the_operator_has_not_seen_points_to_the_operator() -> None:
    unseen = as_stored(manifest(spec(), namespace="shop"))

    (line,) = one_findings(found_from(unseen), None, now=NOW)

    assert (line.result, line.text) == (Result.UNKNOWN, "The operator has not reconciled it yet.")
    assert "the lines about the operator" in line.advice


@pytest.mark.parametrize(
    ("metadata", "status", "result"),
    [
        ({"labels": {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: UID}}, a_status(), Result.OK),
        ({"labels": {MANAGED_BY_LABEL: MANAGED_BY, OWNER_UID_LABEL: "another"}}, a_status(), Result.FAILED),
        ({"labels": {OWNER_UID_LABEL: UID}}, a_status(), Result.FAILED),
        ({}, a_status(), Result.FAILED),
        (None, a_status(), Result.FAILED),
        (None, a_status(reason="AccessDenied"), Result.UNKNOWN),
    ],
)
def test_the_secret_is_its_own(metadata: dict[str, Any] | None, status: VaultSecretStatus, result: Result) -> None:
    assert target_finding(found(status), metadata).result is result


def test_grants_are_shown_as_the_operator_sees_them() -> None:
    ready = {"type": "Ready", "reason": "Ready", "message": "Fine.", "lastTransitionTime": "2026-03-01T12:00:00Z"}
    grants = [
        a_grant("unseen"),
        a_grant("fine").changed(status={"conditions": [{**ready, "status": "True"}]}),
        a_grant("denied").changed(status={"conditions": [{**ready, "status": "False", "reason": "AccessDenied"}]}),
    ]

    lines = results(list(grant_findings(grants, None)))

    where = "(https://shop.vault.azure.net): "
    assert lines == [
        (Result.FAILED, f"VaultGrant denied {where}AccessDenied: Fine."),
        (Result.OK, f"VaultGrant fine {where}Fine."),
        (Result.UNKNOWN, f"VaultGrant unseen {where}the operator has not looked at it yet."),
    ]
    assert [line.result for line in grant_findings([], None)] == [Result.FAILED]


def test_of_many_grants_one_that_fails_is_shown() -> None:
    ready = {"type": "Ready", "reason": "AccessDenied", "message": "No.", "lastTransitionTime": "2026-03-01T00:00:00Z"}
    grants = [
        *(a_grant(f"grant-{number}") for number in range(2 * MAX_SHOWN)),
        a_grant("the-last").changed(status={"conditions": [{**ready, "status": "False"}]}),
    ]

    first, *others = results(list(grant_findings(grants, None)))

    assert first == (Result.FAILED, "VaultGrant the-last (https://shop.vault.azure.net): AccessDenied: No.")
    assert len(others) == MAX_SHOWN


def test_of_each_vault_one_secret_is_read() -> None:
    elsewhere = body(vaultUrl="https://other.vault.azure.net", data=[], dataFrom=[{"find": {"names": "*"}}])
    same = body(name="other", data=[{"key": "key", "secretName": "another"}])

    wanted = wanted_of([brief_from(one, None) for one in (body(), same, elsewhere, body(vaultUrl=None))])

    assert [(each.url, list(each.secrets)) for each in wanted] == [
        ("https://shop.vault.azure.net", [SecretRef("db-password")]),
        ("https://other.vault.azure.net", []),
    ]


def test_of_one_vaultsecret_all_secrets_are_read() -> None:
    entries = [{"key": f"key-{number}", "secretName": f"db-{number}"} for number in range(3)]

    (wanted,) = wanted_of_one(found(a_status(a_status_entry(secret_name="DB-0")), data=entries), None)

    assert [ref.name for ref in wanted.secrets] == ["db-0", "db-1", "db-2"]
    assert list(wanted.versions) == ["db-0"]


def test_a_vault_is_named_as_grants_name_it() -> None:
    """One vault has many URLs, by upper case and a slash at the end."""
    many = [brief_from(body(vaultUrl=url), GRANTED) for url in (URL, "https://SHOP.vault.azure.net/")]

    assert [each.url for each in wanted_of(many)] == [URL]
    assert found(vaultUrl="https://SHOP.vault.azure.net/").vault_url == URL


@pytest.mark.parametrize(
    ("one", "view"),
    [
        pytest.param(body(vaultUrl="https://payroll.vault.azure.net"), GRANTED, id="no grant allows it"),
        pytest.param(body(vaultUrl="https://[shop.vault.azure.net"), GRANTED, id="no host"),
        pytest.param(body(vaultUrl="https://x.example\\@shop.vault.azure.net"), None, id="two hosts"),
    ],
)
def test_a_vault_that_the_operator_does_not_call_is_not_called_from_here(
    one: dict[str, Any], view: GrantView | None
) -> None:
    """Whoever writes VaultSecrets does not choose what the login of an administrator reads."""
    assert not wanted_of([brief_from(one, view)])
    assert not list(wanted_of_one(found_from(one), view))
