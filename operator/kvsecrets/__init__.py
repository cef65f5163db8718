"""A client library for Azure Key Vault secrets, for threads and for asyncio. Exports the public names."""

from kvsecrets._limits import Cancellation
from kvsecrets._requests import CLEAR, Clear
from kvsecrets._retry import RetryPolicy
from kvsecrets._tokens import AsyncSupportsTokenInfo, AsyncTokenCredential, SupportsTokenInfo, TokenCredential
from kvsecrets._version import __version__
from kvsecrets.aio import AsyncSecretClient
from kvsecrets.client import SecretClient
from kvsecrets.errors import (
    AccessDenied,
    BadRequest,
    CallCancelled,
    CertificateProblem,
    Conflict,
    ConnectionFailed,
    ConnectionProblem,
    DeadlineExceeded,
    FirewallDenied,
    KeyVaultError,
    LoginFailed,
    NotAuthenticated,
    PurgeProtected,
    ResponseError,
    SecretDisabled,
    SecretNotFound,
    ServerFailed,
    Throttled,
    UnexpectedAnswer,
    UntrustedChallenge,
)
from kvsecrets.models import (
    DeletedSecret,
    KeyVaultSecret,
    ResponseInfo,
    SecretBackup,
    SecretId,
    SecretProperties,
    SecretValue,
)
from kvsecrets.operations import (
    AsyncDeleteSecretOperation,
    AsyncRecoverDeletedSecretOperation,
    DeleteSecretOperation,
    RecoverDeletedSecretOperation,
)
from kvsecrets.paging import AsyncPaged, Page, Paged

__all__ = [
    "CLEAR",
    "AccessDenied",
    "AsyncDeleteSecretOperation",
    "AsyncPaged",
    "AsyncRecoverDeletedSecretOperation",
    "AsyncSecretClient",
    "AsyncSupportsTokenInfo",
    "AsyncTokenCredential",
    "BadRequest",
    "CallCancelled",
    "Cancellation",
    "CertificateProblem",
    "Clear",
    "Conflict",
    "ConnectionFailed",
    "ConnectionProblem",
    "DeadlineExceeded",
    "DeleteSecretOperation",
    "DeletedSecret",
    "FirewallDenied",
    "KeyVaultError",
    "KeyVaultSecret",
    "LoginFailed",
    "NotAuthenticated",
    "Page",
    "Paged",
    "PurgeProtected",
    "RecoverDeletedSecretOperation",
    "ResponseError",
    "ResponseInfo",
    "RetryPolicy",
    "SecretBackup",
    "SecretClient",
    "SecretDisabled",
    "SecretId",
    "SecretNotFound",
    "SecretProperties",
    "SecretValue",
    "ServerFailed",
    "SupportsTokenInfo",
    "Throttled",
    "TokenCredential",
    "UnexpectedAnswer",
    "UntrustedChallenge",
    "__version__",
]
