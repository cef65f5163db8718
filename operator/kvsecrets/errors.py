"""Every way in which a call can fail, as one tree; holds no rule about when to try again and never a value or a body.

KeyVaultError
├── ConnectionFailed        no answer came: name, network, certificate, time; `.problem` says which
├── LoginFailed             the credential gave no token
├── UntrustedChallenge      the answer asks us to log in for a foreign domain
├── UnexpectedAnswer        an answer came that is not Key Vault's, or that cannot be read
└── ResponseError           Key Vault said no: `.status`, `.code`, `.inner_code`, request ids
    ├── BadRequest            400
    ├── NotAuthenticated      401
    ├── AccessDenied          403, no permission
    ├── FirewallDenied        403, from this address
    ├── SecretDisabled        403, the secret (or this version) is switched off
    ├── PurgeProtected        403, the vault lets nobody purge
    ├── SecretNotFound        404
    ├── Conflict              409
    ├── Throttled             429
    └── ServerFailed          5xx
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
    """Whatever went wrong between this library and a vault; catch it to catch everything below."""


class ConnectionProblem(StrEnum):
    """Why no answer came."""

    UNRESOLVED = "unresolved"
    """The host name does not exist. A vault that does not exist has no name in DNS."""
    UNREACHABLE = "unreachable"
    """No connection: refused, no route, proxy away, name server away, or no answer to the handshake in time."""
    UNTRUSTED = "untrusted"
    """The server's certificate is not one that we trust for this name."""
    TIMED_OUT = "timed out"
    """Connected, but the answer did not come in time; the vault may have acted on the request."""
    BROKEN = "broken"
    """The connection broke before the whole answer was in; the vault may have acted on the request."""


class ConnectionFailed(KeyVaultError):
    """No (whole) answer came from the vault."""

    def __init__(self, message: str, problem: ConnectionProblem = ConnectionProblem.UNREACHABLE) -> None:
        super().__init__(message)
        self.problem = problem

    @property
    def unresolved(self) -> bool:
        """Whether the vault's host name does not exist, which is how a vault that does not exist shows itself."""
        return self.problem is ConnectionProblem.UNRESOLVED

    @property
    def unsent(self) -> bool:
        """Whether the request certainly never reached the vault."""
        return self.problem not in (ConnectionProblem.TIMED_OUT, ConnectionProblem.BROKEN)


class LoginFailed(KeyVaultError):
    """The credential gave no token; its own error is the cause (`__cause__`)."""


class UntrustedChallenge(KeyVaultError):
    """The server asks us to log in for a domain that is not the vault's; no token was asked for or sent."""


class UnexpectedAnswer(KeyVaultError):
    """An answer came that Key Vault would not give, as from a proxy in between, or that cannot be read."""

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class ResponseError(KeyVaultError):
    """Key Vault answered with an error.

    Args:
        status: The HTTP status.
        code: `error.code` of the answer, such as `Forbidden`, where there is one.
        inner_code: `error.innererror.code`, such as `ForbiddenByFirewall`, where there is one.
        message: The service's sentence, in one line and never longer than 1,000 characters.
        request_id: `x-ms-request-id`, by which the vendor's support finds the call.
        client_request_id: `x-ms-client-request-id`, by which you find it in your own log.
        retry_after: Seconds that the service asks us to wait, where it says so.
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
        """Status, codes, the service's sentence and both request ids, in one line."""
        codes = "/".join(code for code in (self.code, self.inner_code) if code)
        head = " ".join(part for part in (str(self.status), codes) if part)
        text = f"{head}: {self.message}" if self.message else head
        ids = f"request id {self.request_id or '-'}, client request id {self.client_request_id or '-'}"
        return f"{text} ({ids})"


class BadRequest(ResponseError):
    """400: the vault does not take the request as it is; sending it again changes nothing."""


class NotAuthenticated(ResponseError):
    """401: the vault does not accept the token, even a fresh one."""


class AccessDenied(ResponseError):
    """403: the identity lacks the permission; a new role assignment can take minutes to arrive."""


class FirewallDenied(ResponseError):
    """403: the vault's network rules do not let this address in, whoever asks."""


class SecretDisabled(ResponseError):
    """403: the secret, or the version asked for, is disabled."""


class PurgeProtected(ResponseError):
    """403: the vault has purge protection; the secret goes by itself when its retention period ends."""


class SecretNotFound(ResponseError):
    """404: the vault has no such secret or version; it may be soft-deleted or on its way back from that."""


class Conflict(ResponseError):
    """409: the name is taken by a deleted secret, or by one on its way to or from deletion; see `.inner_code`."""


class Throttled(ResponseError):
    """429: too many requests for this vault; `.retry_after` says how long to wait, if the vault said so."""


class ServerFailed(ResponseError):
    """5xx: the service failed; the request may or may not have been carried out."""
