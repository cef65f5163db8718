"""What a credential is, and how it is asked for a token; remembers nothing and knows no HTTP.

A credential is whatever has azure-core's `get_token` or `get_token_info`: all of azure-identity, or a class of yours.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypedDict, runtime_checkable

from kvsecrets._flow import Login, Token
from kvsecrets.errors import LoginFailed

_REASON_CHARACTERS = 500
_TOKEN = re.compile(r"[!-~]+")
"""What can go into a header; anything else would end in an error that holds the token."""


class AccessToken(Protocol):
    """What a credential returns: azure-core's `AccessToken` and `AccessTokenInfo` both are this."""

    @property
    def token(self) -> str:
        """The token itself."""
        ...

    @property
    def expires_on(self) -> float:
        """When it ends, in seconds since 1970."""
        ...


class TokenOptions(TypedDict, total=False):
    """What `get_token_info` is told beside the scope."""

    claims: str
    tenant_id: str
    enable_cae: bool


@runtime_checkable
class TokenCredential(Protocol):
    """A credential for threads with azure-core's older method."""

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - as azure-core has it
    ) -> AccessToken:
        """Return a token for a scope."""
        ...


@runtime_checkable
class SupportsTokenInfo(Protocol):
    """A credential for threads with azure-core's newer method."""

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        """Return a token for a scope."""
        ...


@runtime_checkable
class AsyncTokenCredential(Protocol):
    """A credential for asyncio with azure-core's older method."""

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - as azure-core has it
    ) -> AccessToken:
        """Return a token for a scope."""
        ...


@runtime_checkable
class AsyncSupportsTokenInfo(Protocol):
    """A credential for asyncio with azure-core's newer method."""

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        """Return a token for a scope."""
        ...


SyncCredential: TypeAlias = TokenCredential | SupportsTokenInfo
AnyCredential: TypeAlias = SyncCredential | AsyncTokenCredential | AsyncSupportsTokenInfo


def check(credential: object) -> None:
    """Raise a `TypeError` for what is no credential."""
    if inspect.isclass(credential):
        raise TypeError(f"credential: {credential.__name__} is a class; give an instance of it")
    if not hasattr(credential, "get_token_info") and not hasattr(credential, "get_token"):
        given = type(credential).__name__
        raise TypeError(f"credential: it must have get_token or get_token_info, as azure-identity's have, not {given}")


def is_async(credential: AnyCredential) -> bool:
    """Whether a credential is one for asyncio."""
    method = getattr(credential, "get_token_info", None) or getattr(credential, "get_token", None)
    return inspect.iscoroutinefunction(method)


def question(credential: AnyCredential, login: Login) -> Callable[[], Any]:
    """Return the call that asks a credential for a token; its result may have to be awaited."""
    options = TokenOptions(enable_cae=True)
    if login.tenant is not None:
        options["tenant_id"] = login.tenant
    if login.claims is not None:
        options["claims"] = login.claims
    newer = getattr(credential, "get_token_info", None)
    if newer is not None:
        return lambda: newer(login.scope, options=options)
    older: Any = getattr(credential, "get_token", None)
    return lambda: older(login.scope, **options)


def read(answer: object) -> Token:
    """Read what a credential returned."""
    text, expires_on = getattr(answer, "token", None), getattr(answer, "expires_on", None)
    refresh_on = getattr(answer, "refresh_on", None)
    if not isinstance(text, str) or not isinstance(expires_on, int | float):
        given = type(answer).__name__
        raise LoginFailed(f"the credential returned {given}: it must have a text as token, and seconds as expires_on")
    if not _TOKEN.fullmatch(text):
        raise LoginFailed("the credential's token is empty, or holds spaces or line ends, which no header can carry")
    return Token(text, expires_on, refresh_on if isinstance(refresh_on, int | float) else None)


def failed(error: Exception) -> LoginFailed:
    """Return the error for a credential that raised; its own words are kept, shortened to one line."""
    if isinstance(error, LoginFailed):
        return LoginFailed(*error.args)
    return LoginFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:_REASON_CHARACTERS]}")
