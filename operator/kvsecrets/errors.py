"""The errors of the library as one tree. None of them contains a secret value, a token or a body.

KeyVaultError
├── ConnectionFailed        no complete response arrived; `.problem`, `.proxy` and `.certificate` say why
├── LoginFailed             the credential gave no token
├── UntrustedChallenge      the server requests a token for a foreign domain
├── UnexpectedAnswer        the response is not from Key Vault, or cannot be parsed
├── DeadlineExceeded        the `timeout` of the call has passed; a TimeoutError, too
├── CallCancelled           the call was cancelled by its `Cancellation`
└── ResponseError           Key Vault returned an error: `.status`, `.code`, `.inner_code`, request ids, `.headers`
    ├── BadRequest            400
    ├── NotAuthenticated      401
    ├── AccessDenied          403, the permission is missing
    ├── FirewallDenied        403, the network is not allowed
    ├── SecretDisabled        403, the secret or this version is disabled
    ├── PurgeProtected        403, the vault has purge protection
    ├── SecretNotFound        404
    ├── Conflict              409
    ├── Throttled             429
    └── ServerFailed          5xx

https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
"""

from collections.abc import Mapping
from enum import StrEnum

__all__ = [
    "AccessDenied",
    "BadRequest",
    "CallCancelled",
    "CertificateProblem",
    "Conflict",
    "ConnectionFailed",
    "ConnectionProblem",
    "DeadlineExceeded",
    "FirewallDenied",
    "KeyVaultError",
    "LoginFailed",
    "NotAuthenticated",
    "PurgeProtected",
    "ResponseError",
    "SecretDisabled",
    "SecretNotFound",
    "ServerFailed",
    "Throttled",
    "UnexpectedAnswer",
    "UntrustedChallenge",
]


class KeyVaultError(Exception):
    """Base class of all errors of this library, except for `ValueError` and `TypeError` of wrong arguments."""


class ConnectionProblem(StrEnum):
    """Why no complete response arrived."""

    UNRESOLVED = "unresolved"
    """The host name does not exist. A vault that does not exist has no name in DNS."""
    LOOKUP_FAILED = "lookup failed"
    """The host name could not be looked up: no DNS server has answered."""
    REFUSED = "refused"
    """The connection was refused: nothing listens on the port, or a firewall says so."""
    CONNECT_TIMED_OUT = "connect timed out"
    """No connection in time, or no TLS handshake: a firewall may drop what is sent."""
    UNREACHABLE = "unreachable"
    """No connection for another reason: no route, or the other side does not speak TLS."""
    PROXY = "proxy"
    """The proxy refused the connection; it may require a login, or not allow the vault."""
    CROWDED = "crowded"
    """No connection was free or could be opened: the client's limit, or one of the system, was reached on this side."""
    UNTRUSTED = "untrusted"
    """The server's certificate is not trusted for this host name."""
    TIMED_OUT = "timed out"
    """Connected, but the response did not arrive in time; the vault may have executed the request."""
    RESET = "reset"
    """The connection was reset before the response was complete; the vault may have executed the request."""
    BROKEN = "broken"
    """The connection broke before the response was complete; the vault may have executed the request."""


class CertificateProblem(StrEnum):
    """Why a server's certificate is not trusted."""

    UNKNOWN_AUTHORITY = "unknown authority"
    """It is of an authority that is not trusted: a private one, or that of a proxy that inspects TLS."""
    EXPIRED = "expired"
    """It, or that of an authority, has expired."""
    NOT_YET_VALID = "not yet valid"
    """It, or that of an authority, is not valid yet; or the clock is slow."""
    OTHER_HOST = "other host"
    """It is for other host names."""
    INVALID = "invalid"
    """It is wrong in another way."""

    @classmethod
    def of(cls, verify_code: int) -> "CertificateProblem":
        """Return the meaning of `ssl.SSLCertVerificationError.verify_code`.

        https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/#error-codes
        """
        return _VERIFY_CODES.get(verify_code, cls.INVALID)


_VERIFY_CODES = {
    2: CertificateProblem.UNKNOWN_AUTHORITY,
    7: CertificateProblem.UNKNOWN_AUTHORITY,
    9: CertificateProblem.NOT_YET_VALID,
    10: CertificateProblem.EXPIRED,
    18: CertificateProblem.UNKNOWN_AUTHORITY,
    19: CertificateProblem.UNKNOWN_AUTHORITY,
    20: CertificateProblem.UNKNOWN_AUTHORITY,
    21: CertificateProblem.UNKNOWN_AUTHORITY,
    27: CertificateProblem.UNKNOWN_AUTHORITY,
    62: CertificateProblem.OTHER_HOST,
    64: CertificateProblem.OTHER_HOST,
}


class ConnectionFailed(KeyVaultError):
    """No complete response arrived.

    Args:
        message: What happened.
        problem: Why.
        proxy: Host and port of the proxy to which the connection was opened; None without one, and on a connection
            that was open before. It never has user or password.
        proxy_status: The HTTP status with which the proxy refused: 407 requires a login.
        certificate: Why the server's certificate is not trusted.
    """

    def __init__(
        self,
        message: str,
        problem: ConnectionProblem = ConnectionProblem.UNREACHABLE,
        *,
        proxy: str | None = None,
        proxy_status: int | None = None,
        certificate: CertificateProblem | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.proxy = proxy
        self.proxy_status = proxy_status
        self.certificate = certificate

    @property
    def unresolved(self) -> bool:
        """Whether the vault's host name does not exist, which is how a vault that does not exist appears."""
        return self.problem is ConnectionProblem.UNRESOLVED and self.proxy is None

    @property
    def unsent(self) -> bool:
        """Whether the request certainly did not reach the vault."""
        return self.problem not in (ConnectionProblem.TIMED_OUT, ConnectionProblem.RESET, ConnectionProblem.BROKEN)


class LoginFailed(KeyVaultError):
    """The credential gave no token; its own error is the cause (`__cause__`)."""


class UntrustedChallenge(KeyVaultError):
    """The server requests a token for a domain that is not the vault's; no token was requested or sent."""


class UnexpectedAnswer(KeyVaultError):
    """The response is not from Key Vault but, for example, from a proxy, or it cannot be parsed.

    Args:
        message: What is unexpected about it.
        status: The HTTP status, if a response arrived.
        request_id: `x-ms-request-id`, if the response has one.
        headers: The response's headers, with names in lower case; empty if no response arrived.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.headers: Mapping[str, str] = headers or {}


class DeadlineExceeded(KeyVaultError, TimeoutError):
    """The `timeout` of the call has passed, or would pass in the wait before its next attempt.

    The vault may have executed a request. The failure of the last attempt is the cause (`__cause__`), if it had one.
    """


class CallCancelled(KeyVaultError):
    """The call was cancelled by its `Cancellation`; the vault may have executed a request."""


class ResponseError(KeyVaultError):
    """Key Vault returned an error.

    https://learn.microsoft.com/azure/key-vault/general/rest-error-codes

    Args:
        status: The HTTP status.
        code: `error.code` of the response, such as `Forbidden`, if it has one.
        inner_code: `error.innererror.code`, such as `ForbiddenByFirewall`, if it has one.
        message: The service's message, in one line of at most 1,000 characters. If the request had a secret value,
            as set and restore have, what the code means in words of the library.
        request_id: `x-ms-request-id`, which the vendor's support needs.
        client_request_id: `x-ms-client-request-id`, which is in the log of this library.
        retry_after: Seconds to wait that the service requests (`Retry-After`); None if it requests none.
        headers: The response's headers, with names in lower case. They are not part of the text.
    """

    def __init__(
        self,
        status: int,
        *,
        code: str | None = None,
        inner_code: str | None = None,
        message: str = "",
        request_id: str | None = None,
        client_request_id: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status)
        self.status = status
        self.code = code
        self.inner_code = inner_code
        self.message = message
        self.request_id = request_id
        self.client_request_id = client_request_id
        self.retry_after = retry_after
        self.headers: Mapping[str, str] = headers or {}

    def __str__(self) -> str:
        """Return status, codes, the service's message and both request ids, in one line."""
        codes = "/".join(code for code in (self.code, self.inner_code) if code)
        head = " ".join(part for part in (str(self.status), codes) if part)
        text = f"{head}: {self.message}" if self.message else head
        ids = f"request id {self.request_id or '-'}, client request id {self.client_request_id or '-'}"
        return f"{text} ({ids})"


class BadRequest(ResponseError):
    """400: the vault rejects the request; sending it again changes nothing."""


class NotAuthenticated(ResponseError):
    """401: the vault does not accept the token, even a new one."""


class AccessDenied(ResponseError):
    """403: the identity lacks the permission; a new role assignment can take minutes to take effect."""


class FirewallDenied(ResponseError):
    """403: the vault's firewall or private endpoint does not allow this network."""


class SecretDisabled(ResponseError):
    """403: the secret, or the requested version, is disabled."""


class PurgeProtected(ResponseError):
    """403: the vault has purge protection; the secret is purged when its retention period ends."""


class SecretNotFound(ResponseError):
    """404: the vault has no such secret or version; it may be soft-deleted, or its recovery may be in progress."""


class Conflict(ResponseError):
    """409: a deleted secret has this name, or its deletion or recovery is in progress; see `.inner_code`."""


class Throttled(ResponseError):
    """429: the vault is throttling requests; `.retry_after` has the seconds to wait, if the vault names them."""


class ServerFailed(ResponseError):
    """5xx: the service failed; it may or may not have executed the request."""
