"""Maps errors of kvsecrets to reasons and condition messages; makes no call itself.

Messages name vault and secret and do not change between retries, so that a lasting failure is one event and one status
write. Request ids change with each call and are logged only.
"""

import re
from typing import NamedTuple

from kvsecrets import (
    AccessDenied,
    ConnectionFailed,
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
from vaultsync.errors import Reason, SyncError

MAX_WAIT = 300.0
"""Upper bound of a Retry-After in seconds; a larger one is a misconfigured proxy's."""

_ID = re.compile("[0-9A-Za-z-]{1,64}")
_CODE = re.compile("[A-Za-z]{1,64}")
_ENTRA_CODE = re.compile("AADSTS[0-9]{1,9}")
"""https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""


class _Meaning(NamedTuple):
    """A reason, and its message with a placeholder for the subject: the vault, or a secret of it."""

    reason: Reason
    message: str


_CHECK_IDENTITY = "check the operator's identity: tenant, client, token."

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
            "{subject} rejected the request: its firewall or private endpoint does not allow this network.",
        ),
    ),
    (
        AccessDenied,
        _Meaning(
            Reason.ACCESS_DENIED,
            "No permission to read {subject}; grant the operator's identity the role Key Vault Secrets User.",
        ),
    ),
    (Throttled, _Meaning(Reason.VAULT_THROTTLED, "{subject} is throttling requests (HTTP 429).")),
    (LoginFailed, _Meaning(Reason.LOGIN_FAILED, f"Login for {{subject}} failed; {_CHECK_IDENTITY}")),
    (
        NotAuthenticated,
        _Meaning(Reason.LOGIN_FAILED, f"{{subject}} rejected the operator's token; {_CHECK_IDENTITY}"),
    ),
    (
        UntrustedChallenge,
        _Meaning(
            Reason.LOGIN_FAILED, "{subject} requested a token for another domain, so none was sent; check vaultUrl."
        ),
    ),
    (ConnectionFailed, _Meaning(Reason.VAULT_UNREACHABLE, "No response from {subject}.")),
    (
        ResponseError,
        _Meaning(Reason.VAULT_FAILED, "{subject} responded with an error of its own; the request is retried."),
    ),
    (
        KeyVaultError,
        _Meaning(Reason.VAULT_FAILED, "Unexpected response from {subject}; it does not look like Azure Key Vault."),
    ),
)
"""The first class that matches decides."""

_VAULT_REASONS = frozenset(
    {
        Reason.FIREWALL_DENIED,
        Reason.LOGIN_FAILED,
        Reason.VAULT_FAILED,
        Reason.VAULT_NOT_FOUND,
        Reason.VAULT_THROTTLED,
        Reason.VAULT_UNREACHABLE,
    }
)
"""Failures of the vault as a whole, whose message names no secret.

While the circuit breaker is open, all calls fail with the message of the last failure, whichever secret that was about.
"""

_UNRESOLVED = _Meaning(
    Reason.VAULT_NOT_FOUND,
    "The host name of {subject} cannot be resolved; correct vaultUrl, or check the cluster's DNS.",
)


def sync_error(error: KeyVaultError, *, vault_url: str, secret: str | None) -> SyncError:
    """Translate the failure of a call.

    Args:
        error: The failure.
        vault_url: The vault that was called.
        secret: The secret that the call was about; None for a call about the vault as a whole.
    """
    if isinstance(error, ConnectionFailed) and error.unresolved:
        meaning = _UNRESOLVED
    else:
        meaning = next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))
    is_vault = secret is None or meaning.reason in _VAULT_REASONS
    subject = f"vault {vault_url}" if is_vault else f"secret {secret} of vault {vault_url}"
    message = meaning.message.format(subject=subject)
    retry_after = error.retry_after if isinstance(error, ResponseError) else None
    return SyncError(
        meaning.reason,
        message[0].upper() + message[1:],
        retry_after=None if retry_after is None else min(retry_after, MAX_WAIT),
    )


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
        case LoginFailed():
            kind = type(error.__cause__ or error).__name__
            return " ".join([kind, *dict.fromkeys(_ENTRA_CODE.findall(str(error)))])
        case UnexpectedAnswer() if error.status is not None:
            return f"{type(error).__name__} {error.status}"
        case _:
            return type(error).__name__
