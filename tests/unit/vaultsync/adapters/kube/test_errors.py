"""Errors of kube-apiserver 1.36 become `SyncError`; no message about data is repeated."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.adapters.kube.errors import Conflict, ResourceExpired, api_error
from vaultsync.errors import ObjectGone, Reason, SyncError

ABOUT = "Secret shop/db"
MARK = "hunter2"
"""Stands where a value would be."""


def document(message: str, *causes: dict[str, str], kind: str = "Secret") -> dict[str, Any]:
    """A Status as the API server sends it; `details` may be empty."""
    return {"kind": "Status", "message": message, "details": {"name": "db", "kind": kind, "causes": list(causes)}}


def cause(reason: str, field: str, message: str = "") -> dict[str, str]:
    return {"reason": reason, "field": field, "message": message}


TYPE_CHANGE = cause("FieldValueInvalid", "type", 'Invalid value: "kubernetes.io/basic-auth": field is immutable')
IMMUTABLE_DATA = cause("FieldValueForbidden", "data", "Forbidden: field is immutable when `immutable` is set")
NO_CERTIFICATE = cause("FieldValueRequired", "data[tls.crt]", "Required value")
NO_KEY = cause("FieldValueRequired", "data[tls.key]", "Required value")
BAD_DOCKER_CONFIG = cause(
    "FieldValueInvalid",
    "data[.dockerconfigjson]",
    f"Invalid value: \"<secret contents redacted>\": invalid character '{MARK[0]}' looking for beginning of value",
)
BAD_LABEL = cause("FieldValueInvalid", "metadata.labels", 'Invalid value: "a b": a valid label must …')
OTHER_UID = cause("FieldValueInvalid", "metadata.uid", 'Invalid value: "0c2a": field is immutable')
TERMINATING = cause("NamespaceTerminating", "metadata.namespace", "namespace shop is being terminated")
TOO_LONG = cause("FieldValueTooLong", "data", "Too long: may not be more than 1048576 bytes")
FORBIDDEN = 'secrets "db" is forbidden: '
NO_RIGHT = (
    FORBIDDEN + 'User "system:serviceaccount:v:v" cannot patch resource "secrets" in API group "" in the namespace'
)
POLICY = FORBIDDEN + f"ValidatingAdmissionPolicy 'weak' with binding 'all' denied request: value {MARK} is weak"


@pytest.mark.parametrize(
    ("status", "sent", "reason", "expected"),
    [
        pytest.param(
            422,
            document("", TYPE_CHANGE),
            Reason.TARGET_INVALID,
            "type cannot be changed; delete the Secret to have it recreated",
            id="another type",
        ),
        pytest.param(
            422,
            document("", IMMUTABLE_DATA),
            Reason.TARGET_IMMUTABLE,
            "is immutable and has to change; delete it, or set target.replaceImmutable: true",
            id="an immutable Secret",
        ),
        pytest.param(
            422,
            document("", NO_CERTIFICATE, NO_KEY),
            Reason.TARGET_INVALID,
            "data[tls.crt] is required; data[tls.key] is required",
            id="missing keys",
        ),
        pytest.param(
            422,
            document(f"{MARK}", BAD_DOCKER_CONFIG),
            Reason.TARGET_INVALID,
            "data[.dockerconfigjson] is not valid",
            id="a docker config that is no JSON",
        ),
        pytest.param(
            422,
            document("", BAD_LABEL),
            Reason.TARGET_INVALID,
            'metadata.labels: Invalid value: "a b": a valid label must …',
            id="a label that is none",
        ),
        pytest.param(
            422,
            document(POLICY, {"message": POLICY}),
            Reason.TARGET_INVALID,
            "denied by the admission policy weak",
            id="a policy",
        ),
        pytest.param(
            400,
            document(f'admission webhook "check.example.com" denied the request: {MARK}'),
            Reason.TARGET_INVALID,
            "denied by the admission webhook check.example.com",
            id="a webhook",
        ),
        pytest.param(
            422,
            document('admission webhook "check.example.com" denied the request', cause("FieldValueTooLong", MARK)),
            Reason.TARGET_INVALID,
            "denied by the admission webhook check.example.com",
            id="a webhook that names causes of its own",
        ),
        pytest.param(
            403,
            document(FORBIDDEN + f"exceeded quota: {MARK} or so, x"),
            Reason.TARGET_INVALID,
            "Kubernetes rejected it",
            id="a sentence in place of the name of a quota",
        ),
        pytest.param(
            422,
            document("", cause("FieldValueInvalid", f"the value {MARK}")),
            Reason.TARGET_INVALID,
            "a field is not valid",
            id="a sentence in place of a field",
        ),
        pytest.param(
            403,
            document(FORBIDDEN + "exceeded quota: small, requested: secrets=1, used: secrets=3, limited: secrets=3"),
            Reason.TARGET_INVALID,
            "the quota small of its namespace is exceeded",
            id="a quota",
        ),
        pytest.param(
            403,
            document(FORBIDDEN + MARK),
            Reason.TARGET_INVALID,
            "Kubernetes rejected it; the response is not shown here, since it may contain values",
            id="any other admission",
        ),
        pytest.param(
            403,
            document(NO_RIGHT),
            Reason.CLUSTER_UNAVAILABLE,
            "the operator's service account may not patch secrets",
            id="a missing right",
        ),
        pytest.param(
            401, document("Unauthorized"), Reason.CLUSTER_UNAVAILABLE, "rejected the operator's", id="no login"
        ),
        pytest.param(
            400,
            {"message": 'admission webhook "old.example" does not support dry run'},
            Reason.TARGET_INVALID,
            "old.example does not support dry runs",
            id="a webhook without dry runs",
        ),
        pytest.param(422, document("", TOO_LONG), Reason.TARGET_TOO_LARGE, "allows (data)", id="too much data"),
        pytest.param(413, {"message": "limit is 3145728"}, Reason.TARGET_TOO_LARGE, "", id="far too much data"),
        pytest.param(
            500, {"message": "etcdserver: request is too large"}, Reason.TARGET_TOO_LARGE, "", id="too much for etcd"
        ),
        pytest.param(
            500,
            {"message": f"failed to create typed patch object (shop/db): .data.a: expected string, got {MARK}"},
            Reason.CLUSTER_UNAVAILABLE,
            "responded with HTTP status 500",
            id="a type error, which repeats the value",
        ),
        pytest.param(
            500,
            {"message": 'Internal error occurred: failed calling webhook "check.example.com": no endpoints'},
            Reason.CLUSTER_UNAVAILABLE,
            "the admission webhook check.example.com failed",
            id="a broken webhook",
        ),
        pytest.param(429, {}, Reason.CLUSTER_UNAVAILABLE, "throttling requests (HTTP 429)", id="too many requests"),
        pytest.param(503, {}, Reason.CLUSTER_UNAVAILABLE, "responded with HTTP status 503", id="no answer from etcd"),
    ],
)
def test_an_error_has_its_reason_and_says_what_is_wrong(
    status: int, sent: dict[str, Any], reason: Reason, expected: str
) -> None:
    error = api_error(status, sent, ABOUT)

    assert error.reason is reason
    assert error.message.startswith(ABOUT)
    assert expected in error.message
    assert MARK not in error.message


@pytest.mark.parametrize(
    ("status", "sent", "kind"),
    [
        pytest.param(403, document("", TERMINATING), ObjectGone, id="a namespace that is being deleted"),
        pytest.param(404, document("", kind="namespaces"), ObjectGone, id="a namespace that is not there"),
        pytest.param(404, document("", kind="secrets"), Conflict, id="an object that is not there"),
        pytest.param(404, {}, Conflict, id="a kind that is not there"),
        pytest.param(409, document("the object has been modified"), Conflict, id="another resource version"),
        pytest.param(409, document("uid mismatch"), Conflict, id="the uid of an object that is gone"),
        pytest.param(422, document("", OTHER_UID, OTHER_UID), Conflict, id="the uid of another object"),
        pytest.param(422, {"details": {}}, Conflict, id="a test of the uid that fails"),
        pytest.param(410, document("too old resource version"), ResourceExpired, id="a forgotten moment"),
    ],
)
def test_the_class_of_the_error_says_how_to_handle_it(status: int, sent: dict[str, Any], kind: type[SyncError]) -> None:
    error = api_error(status, sent, ABOUT)

    assert type(error) is kind
    assert error.reason is Reason.CLUSTER_UNAVAILABLE


def test_the_retry_after_is_kept() -> None:
    assert api_error(429, {}, ABOUT, retry_after=3.0).retry_after == 3.0


def test_of_many_causes_the_first_are_listed_and_the_rest_counted() -> None:
    causes = [cause("FieldValueRequired", f"data[{number}]") for number in range(7)]

    error = api_error(422, document("", *causes), ABOUT)

    assert error.message.endswith("data[4] is required, and 2 more.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "message": JSON,
        "details": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "kind": JSON,
                "causes": JSON
                | st.lists(st.fixed_dictionaries({}, optional={"reason": JSON, "field": JSON, "message": JSON})),
            },
        ),
    },
)


@given(status=st.integers(400, 599), sent=DOCUMENTS)
def test_any_document_becomes_a_sync_error(status: int, sent: dict[str, Any]) -> None:
    assert isinstance(api_error(status, sent, ABOUT), SyncError)


REASONS = st.sampled_from(["FieldValueInvalid", "FieldValueRequired", "FieldValueDuplicate", "FieldValueX", "", MARK])


@given(
    status=st.sampled_from([400, 403, 409, 413, 422, 429, 500, 503]),
    reason=REASONS,
    place=st.sampled_from(["data", "data[a]", "stringData", "spec", ""]),
    before=st.text(max_size=5),
)
def test_a_message_about_data_is_never_repeated(status: int, reason: str, place: str, before: str) -> None:
    sent = document(f"{before}{MARK}", cause(reason, place, f"{before}{MARK}"))

    assert MARK not in api_error(status, sent, ABOUT).message
