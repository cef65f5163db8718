"""Credentials for tests: they log in nowhere and hand out tokens that a `FakeVault` takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self


class FakeToken(NamedTuple):
    """A token as credentials give it: azure-core's `AccessToken` and `AccessTokenInfo` in one."""

    token: str
    expires_on: int
    token_type: str = "Bearer"  # noqa: S105 - a kind of token, no password
    refresh_on: int | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """One token that was asked for."""

    scopes: tuple[str, ...]
    tenant_id: str | None = None
    claims: str | None = None
    enable_cae: bool = False


class _Tokens:
    """Makes tokens and remembers what was asked for."""

    def __init__(
        self, *, lifetime: timedelta = timedelta(hours=1), clock: Callable[[], datetime] | None = None
    ) -> None:
        """Tokens live for `lifetime`, by the given clock; without one, by the machine's."""
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


class FakeCredential(_Tokens):
    """A credential for `SecretClient`: every call gives a new token; `logins` holds what was asked for."""

    def get_token(self, *scopes: str, **options: object) -> FakeToken:
        """Give a token, as azure-core's `TokenCredential` does."""
        return self._issue(scopes, options)

    def get_token_info(self, *scopes: str, options: Mapping[str, object] | None = None) -> FakeToken:
        """Give a token, as azure-core's `SupportsTokenInfo` does."""
        return self._issue(scopes, options or {})

    def close(self) -> None:
        """Release nothing; azure-core's credentials have it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFakeCredential(_Tokens):
    """A credential for `AsyncSecretClient`: every call gives a new token; `logins` holds what was asked for."""

    async def get_token(self, *scopes: str, **options: object) -> FakeToken:
        """Give a token, as azure-core's `AsyncTokenCredential` does."""
        return self._issue(scopes, options)

    async def get_token_info(self, *scopes: str, options: Mapping[str, object] | None = None) -> FakeToken:
        """Give a token, as azure-core's `AsyncSupportsTokenInfo` does."""
        return self._issue(scopes, options or {})

    async def close(self) -> None:
        """Release nothing; azure-core's credentials have it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


def _utc_now() -> datetime:
    return datetime.now(UTC)
