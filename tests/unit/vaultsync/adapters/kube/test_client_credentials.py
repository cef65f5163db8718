"""What identities log in with, from a server that answers as the test says."""

import base64
from typing import Any

import pytest

from tests.unit.vaultsync.adapters.kube.scripted import Answer, connected, document, text
from vaultsync.adapters.kube.client_credentials import ClientCredentials
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError

ACCOUNT = ObjectKey("shop", "reader")
SECRET = ObjectKey("vaultsync", "shop-reader")
AUDIENCE = "api://AzureADTokenExchange"
NO_PERMISSION = 'secrets "x" is forbidden: User "operator" cannot {verb} resource "{resource}" in API group "" …'


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def failure(answer: Answer, *, of_secret: bool = False) -> SyncError:
    async with connected(answer) as (connection, _):
        credentials = ClientCredentials(connection)
        asked = (
            credentials.read_key(SECRET, "secret")
            if of_secret
            else credentials.request_token(ACCOUNT, audience=AUDIENCE)
        )
        with pytest.raises(SyncError) as caught:
            await asked
    assert caught.value.__cause__ is None
    return caught.value


async def test_a_token_is_for_one_audience_and_short_lived() -> None:
    async with connected(document(201, {"status": {"token": "MARKED"}})) as (connection, script):
        token = await ClientCredentials(connection).request_token(ACCOUNT, audience=AUDIENCE)

    assert token.reveal() == "MARKED"
    assert (script.sent[0].method, script.sent[0].path) == (
        "POST",
        "/api/v1/namespaces/shop/serviceaccounts/reader/token",
    )
    assert script.sent[0].body["spec"] == {"audiences": [AUDIENCE], "expirationSeconds": 600}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"reason": "NotFound", "details": {"kind": "serviceaccounts"}}, "shop/reader does not exist; create it"),
        (404, {"reason": "NotFound", "details": {"kind": "namespaces"}}, "its namespace is gone"),
        (403, {"message": NO_PERMISSION.format(verb="create", resource="serviceaccounts/token")}, "may not request"),
        (
            403,
            {"message": "… ValidatingAdmissionPolicy 'tokens.vaultsync.dev' with binding … denied request: MARKED"},
            "shop/reader: denied by the admission policy tokens.vaultsync.dev",
        ),
        (403, {"message": "MARKED by another authorizer"}, "shop/reader: Kubernetes rejected it"),
    ],
)
async def test_a_refused_token_says_which_account_and_what_to_do(status: int, body: dict[str, Any], said: str) -> None:
    error = await failure(document(status, body))

    assert error.reason is Reason.LOGIN_FAILED
    assert said in error.message
    assert "ServiceAccount shop/reader" in error.message
    assert "MARKED" not in error.message


async def test_an_api_server_that_fails_is_not_a_failed_login() -> None:
    assert (await failure(text(503, "MARKED"))).reason is Reason.CLUSTER_UNAVAILABLE


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"s3cret", "s3cret"), (b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), ("pä ss".encode(), "pä ss")],
    ids=["plain", "of an editor", "of Windows", "of other letters"],
)
async def test_a_key_is_read_without_the_line_break_at_its_end(content: bytes, said: str) -> None:
    async with connected(document(200, {"data": {"secret": encoded(content)}})) as (connection, script):
        read = await ClientCredentials(connection).read_key(SECRET, "secret")

    assert read.reveal() == said
    assert script.sent[0].path == "/api/v1/namespaces/vaultsync/secrets/shop-reader"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"reason": "NotFound", "details": {"kind": "secrets"}}, "does not exist; create it"),
        (403, {"message": NO_PERMISSION.format(verb="get", resource="secrets")}, "may not read"),
        (200, {}, "has no text in the key"),
        (200, {"data": {"other": encoded(b"MARKED")}}, "has no text in the key"),
        (200, {"data": {"secret": ""}}, "has no text in the key"),
        (200, {"data": {"secret": encoded(b"\xff\xfe")}}, "has no text in the key"),
        (200, {"data": {"secret": "MARKED!"}}, "has no text in the key"),
    ],
)
async def test_a_key_that_cannot_be_used_says_which_secret_and_what_to_do(
    status: int, body: dict[str, Any], said: str
) -> None:
    error = await failure(document(status, body), of_secret=True)

    assert error.reason is Reason.LOGIN_FAILED
    assert said in error.message
    assert "Secret vaultsync/shop-reader" in error.message
    assert "MARKED" not in error.message
