"""What a client of the fake vault is constructed with: a credential, and an httpx transport; opens no connection."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import httpx

from kvsecrets._protocol import Request, Response


class FakeToken(NamedTuple):
    """A token with the fields of azure-core's `AccessToken` and `AccessTokenInfo`."""

    token: str
    expires_on: int
    token_type: str = "Bearer"  # noqa: S105 - the type of a token, not a password
    refresh_on: int | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """One token request that a fake credential received."""

    scopes: tuple[str, ...]
    tenant_id: str | None = None
    claims: str | None = None
    enable_cae: bool = False


class _TokenIssuer:
    """Issues tokens and records the requests.

    Args:
        lifetime: How long each token is valid.
        clock: Returns the current time; by default that of the system.
    """

    def __init__(
        self, *, lifetime: timedelta = timedelta(hours=1), clock: Callable[[], datetime] | None = None
    ) -> None:
        self.logins: list[Login] = []
        self._lifetime = lifetime
        self._clock = clock or _utc_now

    def _issue(self, scopes: tuple[str, ...], options: Mapping[str, object]) -> FakeToken:
        tenant_id, claims = options.get("tenant_id"), options.get("claims")
        assert tenant_id is None or isinstance(tenant_id, str)
        assert claims is None or isinstance(claims, str)
        self.logins.append(Login(scopes, tenant_id, claims, bool(options.get("enable_cae"))))
        expires = self._clock() + self._lifetime
        return FakeToken(f"fake-token-{len(self.logins)}", int(expires.timestamp()))


class FakeCredential(_TokenIssuer):
    """A credential for `SecretClient`. Each request gets a new token; `logins` has the requests.

    Args:
        lifetime: How long each token is valid.
        clock: Returns the current time; by default that of the system.
    """

    def get_token(self, *scopes: str, **options: object) -> FakeToken:
        """Return a token, as azure-core's `TokenCredential` does."""
        return self._issue(scopes, options)

    def get_token_info(self, *scopes: str, options: Mapping[str, object] | None = None) -> FakeToken:
        """Return a token, as azure-core's `SupportsTokenInfo` does."""
        return self._issue(scopes, options or {})

    def close(self) -> None:
        """Do nothing; azure-core's credentials have this method."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFakeCredential(_TokenIssuer):
    """A credential for `AsyncSecretClient`. Each request gets a new token; `logins` has the requests.

    Args:
        lifetime: How long each token is valid.
        clock: Returns the current time; by default that of the system.
    """

    async def get_token(self, *scopes: str, **options: object) -> FakeToken:
        """Return a token, as azure-core's `AsyncTokenCredential` does."""
        return self._issue(scopes, options)

    async def get_token_info(self, *scopes: str, options: Mapping[str, object] | None = None) -> FakeToken:
        """Return a token, as azure-core's `AsyncSupportsTokenInfo` does."""
        return self._issue(scopes, options or {})

    async def close(self) -> None:
        """Do nothing; azure-core's credentials have this method."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


class FakeTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """An httpx transport, sync and async, through which one vault is reachable; no other host name resolves.

    Args:
        vault_url: The URL of the vault.
        respond: Returns the response to a request.
        is_open: Whether connections are accepted; otherwise they are refused.
    """

    def __init__(self, vault_url: str, respond: Callable[[Request], Response], is_open: Callable[[], bool]) -> None:
        self._authority = _authority(vault_url)
        self._respond = respond
        self._is_open = is_open

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to a request of `httpx.Client`."""
        request.read()
        return self._handle(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to a request of `httpx.AsyncClient`."""
        await request.aread()
        return self._handle(request)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if _authority(url) != self._authority:
            unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            raise httpx.ConnectError(str(unknown), request=request) from unknown
        if not self._is_open():
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        response = self._respond(Request(request.method, url, dict(request.headers), request.content))
        return httpx.Response(response.status, headers=dict(response.headers), content=response.body, request=request)


def _authority(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or 443


def _utc_now() -> datetime:
    return datetime.now(UTC)
