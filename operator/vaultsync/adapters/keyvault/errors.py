"""Maps errors of kvsecrets to reasons and condition messages; makes no call itself.

Messages name vault, secret and identity, and of the service its codes and ids. Of its texts they have nothing. Except
for the request id they do not change between retries, so that a lasting failure is one event and one status write.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple

from kvsecrets import (
    AccessDenied,
    ConnectionFailed,
    ConnectionProblem,
    FirewallDenied,
    KeyVaultError,
    LoginFailed,
    NotAuthenticated,
    ResponseError,
    SecretDisabled,
    SecretNotFound,
    Throttled,
    UnexpectedAnswer,
    UntrustedChallenge,
)
from vaultsync.connection_faults import ConnectionFault, explain, fault_of_vault
from vaultsync.errors import NoLogin, Reason, SyncError, with_request_id
from vaultsync.state.access import Identity, OwnIdentity, UserLogin, described

MAX_WAIT = 300.0
"""Upper bound of a Retry-After in seconds; a larger one is a misconfigured proxy's."""

_ID = re.compile("[0-9A-Za-z-]{1,64}")
_CODE = re.compile("[A-Za-z]{1,64}")
_ENTRA_CODE = re.compile("AADSTS[0-9]{1,9}")
"""https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""
_KEY_VAULT_CODE = re.compile(r"\bAKV[0-9]{1,6}\b")
_GUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_CLIENT_ID = re.compile(rf"\bappid=({_GUID});")
_OBJECT_ID = re.compile(rf"\boid=({_GUID});")


class NoConnection(SyncError):
    """There was no response from the vault; `fault` is why."""

    def __init__(self, reason: Reason, message: str, fault: ConnectionFault) -> None:
        super().__init__(reason, message)
        self.fault = fault


class _Meaning(NamedTuple):
    """A reason, and its message with placeholders.

    They are the vault or a secret of it, the identity, the error's codes, and why there was no connection.
    """

    reason: Reason
    message: str


_MEANINGS: tuple[tuple[type[KeyVaultError], _Meaning], ...] = (
    (
        SecretNotFound,
        _Meaning(
            Reason.SECRET_NOT_FOUND, "{subject} was not found; set it in the vault, or correct the name or version."
        ),
    ),
    (
        SecretDisabled,
        _Meaning(Reason.SECRET_DISABLED, "{subject} is disabled; enable it in the vault, or pin an enabled version."),
    ),
    (
        FirewallDenied,
        _Meaning(
            Reason.FIREWALL_DENIED,
            "{subject} rejected the request of {identity}: its firewall or private endpoint does not allow this "
            "network{codes}.",
        ),
    ),
    (
        AccessDenied,
        _Meaning(
            Reason.ACCESS_DENIED,
            "No permission to read {subject}{codes}; grant {identity} the role Key Vault Secrets User.",
        ),
    ),
    (Throttled, _Meaning(Reason.VAULT_THROTTLED, "{subject} is throttling requests (HTTP 429).")),
    (
        LoginFailed,
        _Meaning(Reason.LOGIN_FAILED, "Login of {identity} for {subject} failed; check tenant, client and credential."),
    ),
    (
        NotAuthenticated,
        _Meaning(
            Reason.LOGIN_FAILED, "{subject} rejected the token of {identity}{codes}; check the identity's tenant."
        ),
    ),
    (
        UntrustedChallenge,
        _Meaning(
            Reason.LOGIN_FAILED,
            "{subject} requested a token for another domain, so none was sent; correct vaultUrl, or set the operator's "
            "setting vaultResources for a vault behind a domain of its own.",
        ),
    ),
    (ConnectionFailed, _Meaning(Reason.VAULT_UNREACHABLE, "No response from {subject}: {cause}.")),
    (
        ResponseError,
        _Meaning(Reason.VAULT_FAILED, "{subject} responded with an error of its own{codes}; the request is retried."),
    ),
    (
        KeyVaultError,
        _Meaning(
            Reason.VAULT_FAILED, "Unexpected response from {subject}{codes}; it does not look like Azure Key Vault."
        ),
    ),
)
"""The first class that matches decides."""

_UNRESOLVED = _Meaning(
    Reason.VAULT_NOT_FOUND,
    "The host name of {subject} cannot be resolved; correct vaultUrl, or check the cluster's DNS.",
)
_CROWDED = _Meaning(Reason.WAITING, "Waiting for a free connection to {subject}: the operator has too many open.")

_VAULT_REASONS = frozenset(
    {
        Reason.FIREWALL_DENIED,
        Reason.LOGIN_FAILED,
        Reason.VAULT_FAILED,
        Reason.VAULT_NOT_FOUND,
        Reason.VAULT_THROTTLED,
        Reason.VAULT_UNREACHABLE,
        Reason.WAITING,
    }
)
"""Failures of the vault as a whole, whose message names no secret.

While the circuit breaker is open, all calls fail with the message of the last failure, whichever secret that was about.
"""


def sync_error(error: KeyVaultError, *, vault_url: str, secret: str | None, identity: Identity) -> SyncError:
    """Translate the failure of a call.

    Args:
        error: The failure.
        vault_url: The vault that was called.
        secret: The secret that the call was about; None for a call about the vault as a whole.
        identity: Whose call it was.
    """
    if isinstance(error, LoginFailed) and isinstance(error.__cause__, SyncError):
        kind = NoLogin if isinstance(error.__cause__, NoLogin) else SyncError
        return kind(error.__cause__.reason, error.__cause__.message)
    meaning = _meaning(error)
    is_vault = secret is None or meaning.reason in _VAULT_REASONS
    subject = f"vault {vault_url}" if is_vault else f"secret {secret} of vault {vault_url}"
    codes = list(_message_codes(error))
    message = meaning.message.format(
        subject=subject,
        identity=_caller(error, identity),
        codes=f" ({', '.join(codes)})" if codes else "",
        cause="; ".join(explain(fault_of_vault(error))) if isinstance(error, ConnectionFailed) else "",
    )
    message = message[0].upper() + message[1:]
    if isinstance(error, ConnectionFailed):
        return NoConnection(meaning.reason, message, fault_of_vault(error))
    retry_after = error.retry_after if isinstance(error, ResponseError) else None
    return SyncError(
        meaning.reason,
        with_request_id(message, _request_id(error)),
        retry_after=None if retry_after is None else min(retry_after, MAX_WAIT),
    )


def _meaning(error: KeyVaultError) -> _Meaning:
    if isinstance(error, ConnectionFailed) and error.unresolved:
        return _UNRESOLVED
    if isinstance(error, ConnectionFailed) and error.problem is ConnectionProblem.CROWDED:
        return _CROWDED
    return next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))


def _message_codes(error: KeyVaultError) -> Iterator[str]:
    """Yield the codes of an error that the message has."""
    match error:
        case ResponseError():
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                yield f"HTTP {error.status}"
            codes = (error.inner_code, None if error.inner_code else error.code)
            yield from (code for code in codes if code and _CODE.fullmatch(code))
            yield from _KEY_VAULT_CODE.findall(error.message)[:1]
        case UnexpectedAnswer() if error.status is not None:
            yield f"HTTP {error.status}"


def _caller(error: KeyVaultError, identity: Identity) -> str:
    """Return the identity, with the ids by which Key Vault names it where it denies access."""
    text = error.message if isinstance(error, ResponseError) else ""
    client_id, object_id = _CLIENT_ID.search(text), _OBJECT_ID.search(text)
    # Other identities are described with their client id.
    is_told = client_id is not None and isinstance(identity, OwnIdentity | UserLogin)
    ids = [f"client id {client_id[1]}"] if client_id is not None and is_told else []
    ids += [f"object id {object_id[1]}"] if object_id is not None else []
    return f"{described(identity)} ({', '.join(ids)})" if ids else described(identity)


def _request_id(error: KeyVaultError) -> str | None:
    """Return the id of a request that was refused. That a secret is missing or disabled is no failure of the vault."""
    if isinstance(error, ResponseError | UnexpectedAnswer) and not isinstance(error, SecretNotFound | SecretDisabled):
        return error.request_id
    return None


def log_fields(error: KeyVaultError) -> dict[str, str]:
    """Return what a log line has of a failure: its codes and ids, and of its text only what this project wrote.

    Vaults, proxies and identity providers may write anything into their texts. The ids are those by which the vendor's
    support, and our debug log, find the call.
    """
    ids = {name: getattr(error, name, None) for name in ("request_id", "client_request_id")}
    return {"detail": _codes(error), **{name: text for name, text in ids.items() if text and _ID.fullmatch(text)}}


def _codes(error: KeyVaultError) -> str:
    match error:
        case ConnectionFailed():
            return str(error)
        case ResponseError():
            codes = [code for code in (error.code, error.inner_code) if code and _CODE.fullmatch(code)]
            return " ".join([str(error.status), *codes])
        case LoginFailed() if isinstance(error.__cause__, SyncError):
            return error.__cause__.message
        case LoginFailed():
            kind = type(error.__cause__ or error).__name__
            return " ".join([kind, *dict.fromkeys(_ENTRA_CODE.findall(str(error)))])
        case UnexpectedAnswer() if error.status is not None:
            return f"{type(error).__name__} {error.status}"
        case _:
            return type(error).__name__
