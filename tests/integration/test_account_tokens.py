"""Tokens of ServiceAccounts and keys of Secrets from a real API server, with the rights that the chart grants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import jwt
import pytest

from tests.controlplane.plane import ControlPlane
from vaultsync.adapters.identities.credentials import AUDIENCE
from vaultsync.adapters.kube import KubeApi
from vaultsync.adapters.kube.client_credentials import TOKEN_SECONDS
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError


@pytest.fixture
async def admin(controlplane: ControlPlane) -> AsyncIterator[KubeApi]:
    environ = {"KUBECONFIG": str(controlplane.kubeconfig)}
    async with await KubeApi.connect(environ) as kube:
        yield kube


@pytest.fixture
async def operator(controlplane: ControlPlane, namespace: str) -> AsyncIterator[KubeApi]:
    """The API server for a ServiceAccount that may request tokens of `reader`, and read the Secret `shop-reader`."""
    kubectl = controlplane.kubectl
    for account in ("operator", "reader", "other"):
        kubectl("create", "serviceaccount", account, "-n", namespace)
    for name, verb, resource, allowed in (
        ("account-tokens", "create", "serviceaccounts/token", "reader"),
        ("identity-secrets", "get", "secrets", "shop-reader"),
    ):
        rule = (f"--verb={verb}", f"--resource={resource}", f"--resource-name={allowed}")
        kubectl("create", "role", name, *rule, "-n", namespace)
        account = f"--serviceaccount={namespace}:operator"
        kubectl("create", "rolebinding", name, f"--role={name}", account, "-n", namespace)
    kubectl("create", "secret", "generic", "shop-reader", "--from-literal=secret=s3cret", "-n", namespace)
    kubectl("create", "secret", "generic", "other", "--from-literal=secret=MARKED", "-n", namespace)
    environ = {"KUBECONFIG": str(controlplane.service_account("operator", namespace))}
    async with await KubeApi.connect(environ) as kube:
        await _until_granted(kube, namespace)
        yield kube


async def _until_granted(kube: KubeApi, namespace: str) -> None:
    """Wait until the API server has observed its own new roles."""
    credentials = kube.client_credentials
    async with asyncio.timeout(300):
        while True:
            with suppress(SyncError):
                await credentials.request_token(ObjectKey(namespace, "reader"), audience=AUDIENCE)
                await credentials.read_key(ObjectKey(namespace, "shop-reader"), "secret")
                return
            await asyncio.sleep(0.05)


async def test_a_token_is_for_entra_alone_and_expires_soon(admin: KubeApi, operator: KubeApi, namespace: str) -> None:
    token = await operator.client_credentials.request_token(ObjectKey(namespace, "reader"), audience=AUDIENCE)

    claims = jwt.decode(token.reveal(), options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == ([AUDIENCE], f"system:serviceaccount:{namespace}:reader")
    assert claims["exp"] - claims["iat"] == TOKEN_SECONDS
    assert await admin.token_reviewer.authenticate(token.reveal()) is None


async def test_an_account_that_is_not_granted_is_named(operator: KubeApi, namespace: str) -> None:
    with pytest.raises(
        SyncError, match=f"may not request tokens of ServiceAccount {namespace}/other; add it"
    ) as caught:
        await operator.client_credentials.request_token(ObjectKey(namespace, "other"), audience=AUDIENCE)

    assert caught.value.reason is Reason.LOGIN_FAILED


async def test_an_account_that_does_not_exist_is_named(admin: KubeApi, namespace: str) -> None:
    with pytest.raises(SyncError, match=f"ServiceAccount {namespace}/gone does not exist; create it") as caught:
        await admin.client_credentials.request_token(ObjectKey(namespace, "gone"), audience=AUDIENCE)

    assert caught.value.reason is Reason.LOGIN_FAILED


async def test_only_the_granted_secret_is_read(operator: KubeApi, namespace: str) -> None:
    read = await operator.client_credentials.read_key(ObjectKey(namespace, "shop-reader"), "secret")

    assert read.reveal() == "s3cret"
    with pytest.raises(SyncError, match=f"may not read Secret {namespace}/other") as caught:
        await operator.client_credentials.read_key(ObjectKey(namespace, "other"), "secret")
    assert caught.value.reason is Reason.LOGIN_FAILED
    with pytest.raises(SyncError, match="has no text in the key"):
        await operator.client_credentials.read_key(ObjectKey(namespace, "shop-reader"), "gone")
