"""What proves an Azure identity, from the API server: tokens of ServiceAccounts, and keys of Secrets; proves nothing.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
"""

import base64
import binascii

from kvsecrets import SecretValue
from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.errors import Conflict, Forbidden
from vaultsync.adapters.kube.requests import JSON, Request, get_secret_data
from vaultsync.api import ObjectKey
from vaultsync.errors import ObjectGone, Reason, SyncError

TOKEN_SECONDS = 600
"""How long a token is valid: the shortest time that the API server issues. It is used once, at once."""


class ClientCredentials:
    """The credentials that Azure identities log in with. Every failure is a `SyncError` that says what to change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def request_token(self, account: ObjectKey, *, audience: str) -> SecretValue:
        """Request a token of a ServiceAccount, for one audience and for `TOKEN_SECONDS`.

        Raises:
            SyncError: LoginFailed, if there is no such account, or the operator may not request its tokens;
                ClusterUnavailable.
        """
        try:
            document = await self._connection.send(_token_request(account, audience))
        except ObjectGone:
            text = f"ServiceAccount {account}: its namespace is gone, or being deleted."
        except Conflict:
            text = (
                f"ServiceAccount {account} does not exist; create it, or correct serviceAccountName in the VaultGrant."
            )
        except Forbidden:
            text = (
                f"The operator may not request tokens of ServiceAccount {account}; add it to the value "
                "identities.serviceAccounts of its Helm chart."
            )
        except SyncError as error:
            if error.reason is Reason.CLUSTER_UNAVAILABLE:
                raise
            text = f"The request for a token was rejected: {error.message}"
        else:
            return SecretValue(document["status"]["token"])
        raise SyncError(Reason.LOGIN_FAILED, text)

    async def read_key(self, secret: ObjectKey, name: str) -> SecretValue:
        """Read one key of a Secret, whose content is text; line breaks at its end are removed.

        Raises:
            SyncError: LoginFailed, if there is no such Secret or key, or the operator may not read it;
                ClusterUnavailable.
        """
        try:
            document = await self._connection.send(get_secret_data(secret))
        except Conflict:
            text = f"Secret {secret} does not exist; create it, or correct the VaultGrant."
        except Forbidden:
            text = (
                f"The operator may not read Secret {secret}; add it to the value identities.secrets of its Helm chart."
            )
        else:
            content = _decoded((document.get("data") or {}).get(name))
            if content:
                return SecretValue(content)
            text = (
                f"Secret {secret} has no text in the key that the VaultGrant names; set it, or correct the VaultGrant."
            )
        raise SyncError(Reason.LOGIN_FAILED, text)


def _token_request(account: ObjectKey, audience: str) -> Request:
    return Request(
        "POST",
        f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token",
        about=f"ServiceAccount {account}",
        accept=JSON,
        fenced=False,
        body={
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS},
        },
    )


def _decoded(data: str | None) -> str:
    """Decode base64 of text; empty if it is missing, or anything else."""
    try:
        return base64.b64decode(data or "", validate=True).decode().rstrip("\r\n")
    except (binascii.Error, ValueError):
        return ""
