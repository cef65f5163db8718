"""What a failed call to a vault means to people: kvsecrets errors to reasons; makes no call itself.

Messages name vault and secret and stay the same from one retry to the next, so that a lasting failure is one event and
one status write. Request ids change with each call and go to the log.
"""

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
    UntrustedChallenge,
)
from vaultsync.errors import Reason, SyncError

MAX_WAIT = 300.0
"""Seconds that a vault may ask us to wait; a proxy between that asks for years is not believed."""


class _Meaning(NamedTuple):
    """A reason, and the sentence around the vault or secret that it is about."""

    reason: Reason
    before: str
    after: str


_LOGIN = "; check the operator's identity: tenant, client, token."

_MEANINGS: tuple[tuple[type[KeyVaultError], _Meaning], ...] = (
    (
        SecretNotFound,
        _Meaning(Reason.SECRET_NOT_FOUND, "There is no", "; set it in the vault, or correct the name or version."),
    ),
    (
        SecretDisabled,
        _Meaning(Reason.SECRET_DISABLED, "Disabled:", "; enable it in the vault, or pin an enabled version."),
    ),
    (
        FirewallDenied,
        _Meaning(Reason.FIREWALL_DENIED, "No way to", ": its firewall or private link keeps this cluster out."),
    ),
    (
        AccessDenied,
        _Meaning(
            Reason.ACCESS_DENIED,
            "No permission for",
            "; give the operator's identity the role Key Vault Secrets User there.",
        ),
    ),
    (Throttled, _Meaning(Reason.VAULT_THROTTLED, "Throttled on", "; it is asked too often, by whomever.")),
    (LoginFailed, _Meaning(Reason.LOGIN_FAILED, "Cannot log in for", _LOGIN)),
    (NotAuthenticated, _Meaning(Reason.LOGIN_FAILED, "The login is not accepted for", _LOGIN)),
    (
        UntrustedChallenge,
        _Meaning(Reason.LOGIN_FAILED, "Refused to log in for", ": it asks for a token of a foreign domain."),
    ),
    (ConnectionFailed, _Meaning(Reason.VAULT_UNREACHABLE, "No answer from", ".")),
    (
        ResponseError,
        _Meaning(Reason.VAULT_FAILED, "A failure of", " itself; there is nothing to be done here."),
    ),
    (KeyVaultError, _Meaning(Reason.VAULT_FAILED, "No Key Vault's answer from", "; check vaultUrl and proxies.")),
)
"""In this order: the first class that fits."""

_OF_THE_WHOLE_VAULT = frozenset(
    {
        Reason.FIREWALL_DENIED,
        Reason.LOGIN_FAILED,
        Reason.VAULT_FAILED,
        Reason.VAULT_NOT_FOUND,
        Reason.VAULT_THROTTLED,
        Reason.VAULT_UNREACHABLE,
    }
)
"""What everybody who asks the vault is told in the same words, whichever secret it showed with.

While a vault is down, calls are refused with the last failure's message: it must be nobody's in particular.
"""

_NO_SUCH_HOST = _Meaning(
    Reason.VAULT_NOT_FOUND, "Cannot find the host of", "; correct vaultUrl, or check the cluster's DNS."
)


def sync_error(error: KeyVaultError, *, vault_url: str, secret: str | None) -> SyncError:
    """Name the failure of a call; `secret` is what it was about, or None if it was about the vault as a whole."""
    if isinstance(error, ConnectionFailed) and error.unresolved:
        meaning = _NO_SUCH_HOST
    else:
        meaning = next(meaning for kind, meaning in _MEANINGS if isinstance(error, kind))
    whole = secret is None or meaning.reason in _OF_THE_WHOLE_VAULT
    subject = f"vault {vault_url}" if whole else f"secret {secret} of vault {vault_url}"
    asked = error.retry_after if isinstance(error, ResponseError) else None
    retry_after = None if asked is None else min(asked, MAX_WAIT)
    return SyncError(meaning.reason, f"{meaning.before} {subject}{meaning.after}", retry_after=retry_after)
