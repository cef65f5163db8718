"""Translates the failure of a login to `SyncError`: whose login it was, and what Microsoft Entra ID's code means.

The texts of authorities, proxies and nodes are not shown: of them, codes and ids are taken by their patterns.
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

import re
from collections.abc import Iterator
from typing import Final

from vaultsync.adapters.identities.failures import NODE_HOST, NoResponse
from vaultsync.connection_faults import explain
from vaultsync.errors import NoLogin, Reason, SyncError, with_request_id
from vaultsync.state.access import (
    Identity,
    ManagedIdentity,
    OwnIdentity,
    ServicePrincipal,
    UserLogin,
    WorkloadIdentity,
    described,
)
from vaultsync.texts import MAX_NAME, one_line

_CODE = re.compile(r"\bAADSTS[0-9]{1,9}\b")
_TRACE = re.compile(r"Trace ID: ([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\b")
_CERTIFICATE_REASON = re.compile(r"[A-Za-z0-9 ,.'_-]{1,200}")

_MEANINGS: Final = {
    "AADSTS50034": "there is no such account",
    "AADSTS53003": "a Conditional Access policy blocks it",
    "AADSTS70021": "no federated credential matches issuer, subject and audience of the token",
    "AADSTS90002": "there is no such tenant",
    "AADSTS500011": "the tenant does not know Key Vault",
    "AADSTS700016": "the tenant has no such application",
    "AADSTS700027": "the certificate is not one of the application's",
    "AADSTS700211": "no federated credential has the issuer of the token",
    "AADSTS700212": "no federated credential has the audience of the token",
    "AADSTS700213": "no federated credential has the subject of the token",
    "AADSTS7000215": "the client secret is wrong",
    "AADSTS7000222": "the client secret has expired",
}

_UNAVAILABLE: Final = "EnvironmentCredential authentication unavailable"
"""In the text of azure-identity's chain of credentials if the environment has none, as is that of each further one."""

_ADVICE: Final[dict[type[Identity], str]] = {
    OwnIdentity: "check the operator's identity: its variables AZURE_*, its federated credential or client secret",
    UserLogin: "try az login, or check the variables AZURE_*",
    WorkloadIdentity: "check tenantId and clientId in the VaultGrant, and the identity's federated credential",
    ManagedIdentity: "assign this identity to the nodes on which the operator runs, or correct the VaultGrant",
    ServicePrincipal: "check tenantId and clientId in the VaultGrant, and the client secret or certificate",
}


def login_error(error: Exception, identity: Identity, vault_url: str) -> SyncError:
    """Return the error for a login that failed.

    Args:
        error: What azure-identity raised, or the time limit.
        identity: Whose login it was.
        vault_url: The vault that a token was requested for.
    """
    causes = list(_causes(error))
    text = " ".join(str(cause) for cause in causes)
    trace = _TRACE.search(text)
    problem, advice = _problem(text, causes), _ADVICE[type(identity)]
    if isinstance(identity, UserLogin) and _has_none(text, causes):
        return NoLogin(Reason.LOGIN_FAILED, "There is no Azure login: try az login, or set the variables AZURE_*.")
    unanswered = next((cause for cause in causes if isinstance(cause, NoResponse)), None)
    if unanswered is not None and not _CODE.search(text):
        explanation = explain(unanswered.fault)
        problem = f"no response from {one_line(unanswered.host, MAX_NAME)}: {explanation.cause}"
        # Where there is no such service, no other identity was found either.
        advice = advice if unanswered.host == NODE_HOST else explanation.advice
    message = f"Login of {described(identity)} for vault {vault_url} failed ({problem}); {advice}."
    return SyncError(Reason.LOGIN_FAILED, with_request_id(message, trace[1] if trace else None))


def _has_none(text: str, causes: list[BaseException]) -> bool:
    """Return whether no credential was found: no authority was asked, and the node is none of Azure's."""
    hosts = {cause.host for cause in causes if isinstance(cause, NoResponse)}
    is_late = any(isinstance(cause, TimeoutError) for cause in causes)
    return not _CODE.search(text) and hosts <= {NODE_HOST} and _UNAVAILABLE in text and not (is_late and not hosts)


def _problem(text: str, causes: list[BaseException]) -> str:
    """Return the authority's codes, or the status of its response."""
    codes = list(dict.fromkeys(_CODE.findall(text)))[:3]
    if codes:
        return ", ".join(f"{code}: {_MEANINGS[code]}" if code in _MEANINGS else code for code in codes)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "no token in time"
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415  a login has imported it

    status = next((cause.status_code for cause in causes if isinstance(cause, HttpResponseError)), None)
    return "no token" if status is None else f"HTTP status {status}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
