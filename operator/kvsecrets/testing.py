"""A Key Vault for tests: `FakeVault` returns the real service's responses, in process and without a network.

    vault = FakeVault()
    vault.set("db-password", "s3cret")
    with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
        assert client.get_secret("db-password").value.reveal() == "s3cret"

It does not cover what only Azure has: real tokens, networks and limits.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from kvsecrets._fake import errors
from kvsecrets._fake.clients import AsyncFakeCredential, FakeCredential, FakeToken, FakeTransport, Login
from kvsecrets._fake.config import API_VERSIONS, VaultConfig
from kvsecrets._fake.errors import VaultRefused
from kvsecrets._fake.requests import Kind, Permission
from kvsecrets._fake.service import AccessControl, Caller, CheckToken, Service, TokenRefused
from kvsecrets._fake.store import Changes, Store
from kvsecrets._protocol import Request, Response
from kvsecrets.models import SecretValue

__all__ = [
    "API_VERSIONS",
    "AsyncFakeCredential",
    "Caller",
    "CheckToken",
    "FakeCredential",
    "FakeToken",
    "FakeTransport",
    "FakeVault",
    "Kind",
    "Login",
    "Permission",
    "TokenRefused",
    "VaultRefused",
]

_TENANT = "00000000-0000-0000-0000-000000000000"


class FakeVault:
    """One vault in memory. Threads may share it.

    Its secrets can be changed by a client over a transport, and by its own methods: `set`, `disable`, `delete` and so
    on act at once, need no token, are not counted, and raise `VaultRefused` where the service returns an error.

    Args:
        vault_url: The URL of the vault. Ids begin with it; a transport responds for this host only.
        clock: Returns the current time, used for the dates of secrets, the end of deletions and the `Date` header.
        soft_delete: Whether deleted secrets can be recovered. All real vaults have it enabled since 2025.
        recoverable_days: Retention of deleted secrets in days, 7 to 90.
        purge_protection: Whether purging is forbidden.
        deletion_delay: How long a deletion, a recovery and a purge take to complete.
        tenant_id: The tenant in the challenge.
        authority: The login host in the challenge.
        resource: The resource in the challenge; by default the vault's DNS suffix, or for a host outside of Azure the
            host itself.
        require_token: Whether a call without a token is challenged.
        check_token: Returns the caller of a token, or raises `TokenRefused`; by default any token is accepted.
        rbac: Whether permission errors are those of Azure RBAC; by default those of access policies.
        new_version: Returns version ids of 32 hex digits; by default random ones.

    Raises:
        ValueError: The URL is not https with a host, or the days are outside of 7 to 90.
    """

    def __init__(
        self,
        vault_url: str = "https://fake.vault.azure.net",
        *,
        clock: Callable[[], datetime] | None = None,
        soft_delete: bool = True,
        recoverable_days: int = 90,
        purge_protection: bool = False,
        deletion_delay: timedelta = timedelta(0),
        tenant_id: str = _TENANT,
        authority: str = "https://login.microsoftonline.com",
        resource: str | None = None,
        require_token: bool = True,
        check_token: CheckToken | None = None,
        rbac: bool = False,
        new_version: Callable[[], str] | None = None,
    ) -> None:
        config = VaultConfig.create(
            vault_url,
            resource=resource,
            authority=authority,
            tenant_id=tenant_id,
            soft_delete=soft_delete,
            recoverable_days=recoverable_days,
            purge_protection=purge_protection,
            deletion_delay=deletion_delay,
            rbac=rbac,
        )
        self._url = config.url
        self._lock = threading.RLock()
        self._clock = clock or _utc_now
        self._access = AccessControl(config, require_token=require_token, check_token=check_token or _any_token)
        self._store = Store(config, new_version or _random_version)
        self._service = Service(config, self._store, self._access)
        self._accepts_connections = True

    # The vault as its clients use it.

    @property
    def url(self) -> str:
        """The vault's URL, with which its ids begin."""
        return self._url

    def transport(self) -> FakeTransport:
        """Return a transport for `SecretClient` and for `httpx.Client`."""
        return FakeTransport(self.url, self.respond, lambda: self._accepts_connections)

    def async_transport(self) -> FakeTransport:
        """Return a transport for `AsyncSecretClient` and for `httpx.AsyncClient`."""
        return self.transport()

    def respond(self, request: Request) -> Response:
        """Return the response to a request to any host."""
        with self._locked() as now:
            return self._service.respond(request, now)

    @contextmanager
    def _locked(self) -> Iterator[datetime]:
        """Hold the lock, at one moment in time, after everything that ends by then has ended."""
        with self._lock:
            now = self._clock()
            self._store.settle(now)
            yield now

    # Its secrets, changed directly.

    def set(
        self,
        name: str,
        value: str,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        enabled: bool = True,
        not_before: datetime | None = None,
        expires_on: datetime | None = None,
        created_on: datetime | None = None,
        updated_on: datetime | None = None,
        managed: bool = False,
    ) -> str:
        """Write a new version of a secret.

        Args:
            name: The secret's name.
            value: Its value.
            content_type: Its content type.
            tags: Its tags.
            enabled: Whether the version can be read.
            not_before: The start of its validity, informational.
            expires_on: The end of its validity, informational.
            created_on: When the version was created; by default now.
            updated_on: When it was last changed; by default `created_on`.
            managed: Whether it belongs to a certificate.

        Returns:
            The id of the new version.

        Raises:
            VaultRefused: The service would return an error.
        """
        stamps = {"created": _seconds(created_on), "updated": _seconds(updated_on or created_on)}
        fields: dict[str, object] = {
            "content_type": content_type,
            "tags": dict(tags) if tags else None,
            "enabled": enabled,
            "not_before": _seconds(not_before),
            "expires": _seconds(expires_on),
            **{name: stamp for name, stamp in stamps.items() if stamp is not None},
        }
        with self._locked() as now:
            text = SecretValue(value).reveal()  # rejects what is not Unicode text
            return self._store.set(name, text, Changes(fields), now, managed=managed).newest.id

    def value(self, name: str, version: str | None = None) -> str:
        """Return the value of a version, by default the newest; of a disabled one too."""
        with self._locked():
            return self._store.version(name, version or "")[1].value

    def enable(self, name: str, version: str | None = None) -> None:
        """Enable a version, by default the newest."""
        self._change(name, version, {"enabled": True})

    def disable(self, name: str, version: str | None = None) -> None:
        """Disable a version, by default the newest: reading it returns 403."""
        self._change(name, version, {"enabled": False})

    def tag(self, name: str, tags: Mapping[str, str], version: str | None = None) -> None:
        """Replace the tags of a version, by default the newest."""
        self._change(name, version, {"tags": dict(tags)})

    def delete(self, name: str) -> None:
        """Start the deletion of a secret; with soft-delete it can be recovered."""
        with self._locked() as now:
            self._store.delete(name, now)

    def recover(self, name: str) -> None:
        """Start the recovery of a deleted secret."""
        with self._locked() as now:
            self._store.recover(name, now)

    def purge(self, name: str) -> None:
        """Start the purge of a deleted secret."""
        with self._locked() as now:
            self._store.purge(name, now)

    def _change(self, name: str, version: str | None, fields: Mapping[str, object]) -> None:
        with self._locked() as now:
            self._store.update(name, version or "", Changes(fields), now)

    # Failures.

    def fail(self, calls: int = 1, *, status: int = 503, kind: Kind | str | None = None) -> None:
        """Make the next calls, or the next of one kind, return a server error."""
        with self._lock:
            self._access.plan(calls, partial(errors.server_failed, status), Kind(kind) if kind else None)

    def throttle(self, calls: int = 1, *, retry_after: int | None = None, kind: Kind | str | None = None) -> None:
        """Make the next calls, or the next of one kind, return 429; with `Retry-After` in seconds if it is set."""
        with self._lock:
            self._access.plan(calls, partial(errors.throttled, retry_after), Kind(kind) if kind else None)

    def forget_failures(self, kind: Kind | str | None = None) -> None:
        """Undo `fail` and `throttle`: those that were planned with this kind, by default all."""
        with self._lock:
            self._access.forget_failures(Kind(kind) if kind else None)

    def deny(self, permission: Permission | str, *, client_id: str | None = None) -> None:
        """Remove a permission such as `list` from every caller, or from one client id."""
        with self._lock:
            self._access.deny(Permission(permission), client_id)

    def allow(self, permission: Permission | str, *, client_id: str | None = None) -> None:
        """Undo `deny` with the same arguments."""
        with self._lock:
            self._access.allow(Permission(permission), client_id)

    def close_firewall(self) -> None:
        """Make every call return the 403 of the vault's firewall."""
        self._access.firewall_closed = True

    def open_firewall(self) -> None:
        """Undo `close_firewall`."""
        self._access.firewall_closed = False

    def close_door(self) -> None:
        """Refuse connections of the transports."""
        self._accepts_connections = False

    def open_door(self) -> None:
        """Undo `close_door`."""
        self._accepts_connections = True

    def demand_claims(self, claims: str = '{"access_token":{"nbf":{"essential":true,"value":"0"}}}') -> None:
        """Reject the next token, in every call, until a call has another one: continuous access evaluation.

        https://learn.microsoft.com/entra/identity-platform/app-resilience-continuous-access-evaluation
        """
        with self._lock:
            self._access.demand_claims(claims)

    def accept_claims(self) -> None:
        """Undo `demand_claims`."""
        with self._lock:
            self._access.accept_claims()

    # The calls it has received.

    @property
    def calls(self) -> Counter[str]:
        """The number of calls of each kind, failed ones included; those without a valid token count as `challenge`."""
        with self._lock:
            return Counter({str(kind): count for kind, count in self._access.counts.items()})

    def forget_calls(self) -> None:
        """Reset the counts."""
        with self._lock:
            self._access.counts.clear()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_version() -> str:
    return uuid4().hex


def _any_token(_token: str) -> Caller:
    return Caller()


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
