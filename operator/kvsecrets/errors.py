"""The errors of the library as one tree. None of them contains a secret value, a token or a body.

KeyVaultError
├── ConnectionFailed        no complete response arrived; `.problem` says why
├── LoginFailed             the credential gave no token
├── UntrustedChallenge      the server requests a token for a foreign domain
├── UnexpectedAnswer        the response is not from Key Vault, or cannot be parsed
└── ResponseError           Key Vault returned an error: `.status`, `.code`, `.inner_code`, request ids
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

from enum import StrEnum

__all__ = [
    "AccessDenied",
    "BadRequest",
    "Conflict",
    "ConnectionFailed",
    "ConnectionProblem",
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
    UNREACHABLE = "unreachable"
    """No connection: refused, no route, no proxy, no DNS server, or no handshake in time."""
    PROXY = "proxy"
    """The proxy refused the connection; it may require a login, or not allow the vault."""
    CROWDED = "crowded"
    """No connection was free or could be opened: the client's limit, or one of the system, was reached on this side."""
    UNTRUSTED = "untrusted"
    """The server's certificate is not trusted for this host name."""
    TIMED_OUT = "timed out"
    """Connected, but the response did not arrive in time; the vault may have executed the request."""
    BROKEN = "broken"
    """The connection broke before the response was complete; the vault may have executed the request."""


class ConnectionFailed(KeyVaultError):
    """No complete response arrived; `problem` says why."""

    def __init__(self, message: str, problem: ConnectionProblem = ConnectionProblem.UNREACHABLE) -> None:
        super().__init__(message)
        self.problem = problem

    @property
    def unresolved(self) -> bool:
        """Whether the vault's host name does not exist, which is how a vault that does not exist appears."""
        return self.problem is ConnectionProblem.UNRESOLVED

    @property
    def unsent(self) -> bool:
        """Whether the request certainly did not reach the vault."""
        return self.problem not in (ConnectionProblem.TIMED_OUT, ConnectionProblem.BROKEN)


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
    """

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class ResponseError(KeyVaultError):
    """Key Vault returned an error.

    https://learn.microsoft.com/azure/key-vault/general/rest-error-codes

    Args:
        status: The HTTP status.
        code: `error.code` of the response, such as `Forbidden`, if it has one.
        inner_code: `error.innererror.code`, such as `ForbiddenByFirewall`, if it has one.
        message: The service's message, in one line of at most 1,000 characters.
        request_id: `x-ms-request-id`, which the vendor's support needs.
        client_request_id: `x-ms-client-request-id`, which is in the log of this library.
        retry_after: Seconds to wait that the service requests (`Retry-After`); None if it requests none.
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
    ) -> None:
        super().__init__(status)
        self.status = status
        self.code = code
        self.inner_code = inner_code
        self.message = message
        self.request_id = request_id
        self.client_request_id = client_request_id
        self.retry_after = retry_after

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
