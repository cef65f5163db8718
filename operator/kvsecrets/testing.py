"""A Key Vault for tests: `FakeVault` answers requests in the real service's words, in process and without a network.

    vault = FakeVault()
    vault.set("db-password", "s3cret")
    with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
        assert client.get_secret("db-password").value.reveal() == "s3cret"

It does not check what only Azure can: real tokens, real networks, real limits.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from kvsecrets._fake import refusals
from kvsecrets._fake.answers import Answers, Json, dump
from kvsecrets._fake.bodies import Changes
from kvsecrets._fake.calls import Call, Kind, Permission, understand
from kvsecrets._fake.credentials import AsyncFakeCredential, FakeCredential, FakeToken, Login
from kvsecrets._fake.gate import Caller, CheckToken, Gate, TokenRefused
from kvsecrets._fake.headers import answer_headers
from kvsecrets._fake.operations import Operations
from kvsecrets._fake.profile import API_VERSIONS, Profile
from kvsecrets._fake.refusals import VaultRefused
from kvsecrets._fake.store import Store
from kvsecrets._fake.transport import FakeTransport
from kvsecrets._wire import Request, Response
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
    """One vault, held in memory. It may be used by many threads at once.

    Its secrets can be changed as a client would, over a transport, and by hand: `set`, `disable`, `delete` and the
    like act at once, need no token and are not counted. A refusal is a `VaultRefused`.

    Args:
        vault_url: What clients call it. Ids begin with it; a transport answers for it alone.
        clock: Tells the time; it dates secrets, finishes deletions and fills the `Date` header.
        soft_delete: Whether deleted secrets can be recovered. Real vaults all have it on since 2025.
        recoverable_days: For how long, 7 to 90.
        purge_protection: Whether purging is forbidden.
        deletion_delay: How long a deletion, a recovery and a purge stay unfinished.
        tenant_id: The tenant that the challenge names.
        authority: The login host that the challenge names.
        resource: What the challenge says that tokens must be for; by default the vault's DNS suffix, or for a host
            outside of Azure the host itself.
        require_token: Whether a call without a token is challenged.
        check_token: Looks at tokens; by default any is taken.
        rbac: Whether refusals are those of Azure RBAC; by default those of access policies.
        new_version: Makes version ids of 32 hex digits; by default random ones.
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
        self._profile = Profile.of(
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
        self._lock = threading.RLock()
        self._clock = clock or _utc_now
        self._gate = Gate(self._profile, require_token=require_token, check_token=check_token or _any_token)
        self._store = Store(self._profile, new_version or _random_version)
        self._door_closed = False

    # the vault as clients see it

    @property
    def url(self) -> str:
        """The vault's URL, as its ids have it."""
        return self._profile.url

    def transport(self) -> FakeTransport:
        """Make a transport for `SecretClient` and for `httpx.Client`."""
        return FakeTransport(self.url, self.respond, lambda: not self._door_closed)

    def async_transport(self) -> FakeTransport:
        """Make a transport for `AsyncSecretClient` and for `httpx.AsyncClient`."""
        return self.transport()

    def respond(self, request: Request) -> Response:
        """Answer one request, whatever host it was sent to."""
        asked = {name.lower(): value for name, value in request.headers.items()}
        with self._moment() as now:
            try:
                answer = self._answer(understand(request), asked, request.body, now)
            except VaultRefused as refused:
                return self._response(refused.status, refused.body, asked, now, refused.headers)
            return self._response(200 if answer else 204, answer, asked, now)

    def _answer(self, call: Call, asked: Mapping[str, str], body: bytes, now: datetime) -> Json | None:
        caller = self._gate.admit(call, asked)
        api_version = call.query.get("api-version", "")
        if api_version not in API_VERSIONS:
            raise refusals.unknown_api_version(api_version)
        if call.kind is Kind.GET_DELETED:
            self._store.deleted(call.name)  # who may not read deleted secrets gets 404 first, 403 once it is there
        self._gate.authorize(caller, call)
        return Operations(self._store, Answers(self._profile, api_version), now).answer(call, body)

    def _response(
        self,
        status: int,
        answer: Json | None,
        asked: Mapping[str, str],
        now: datetime,
        more: Mapping[str, str] | None = None,
    ) -> Response:
        body = dump(answer) if answer else b""
        headers = answer_headers(asked, status, body, now, rbac=self._profile.rbac)
        return Response(status, {**headers, **(more or {})}, body)

    @contextmanager
    def _moment(self) -> Iterator[datetime]:
        """Have the vault to oneself, at one time, with all done that is due by then."""
        with self._lock:
            now = self._clock()
            self._store.settle(now)
            yield now

    # its secrets, changed by hand

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
        """Set a secret and return the id of its new version.

        `managed` makes it one that a certificate owns. `created_on` and `updated_on` are the clock's time by default.
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
        with self._moment() as now:
            text = SecretValue(value).reveal()  # refuses what is no text
            return self._store.set(name, text, Changes(fields), now, managed=managed).newest.id

    def value(self, name: str, version: str | None = None) -> str:
        """Read a value, of a disabled version too."""
        with self._moment():
            return self._store.version(name, version or "")[1].value

    def enable(self, name: str, version: str | None = None) -> None:
        """Enable a version, by default the newest."""
        self._change(name, version, {"enabled": True})

    def disable(self, name: str, version: str | None = None) -> None:
        """Disable a version, by default the newest: to read it is then forbidden."""
        self._change(name, version, {"enabled": False})

    def delete(self, name: str) -> None:
        """Start the deletion of a secret; with soft-delete it can be recovered."""
        with self._moment() as now:
            self._store.delete(name, now)

    def recover(self, name: str) -> None:
        """Start the recovery of a deleted secret."""
        with self._moment() as now:
            self._store.recover(name, now)

    def purge(self, name: str) -> None:
        """Start the removal of a deleted secret for good."""
        with self._moment() as now:
            self._store.purge(name, now)

    def _change(self, name: str, version: str | None, fields: Mapping[str, object]) -> None:
        with self._moment() as now:
            self._store.update(name, version or "", Changes(fields), now)

    # trouble

    def fail(self, calls: int = 1, *, status: int = 503, kind: Kind | str | None = None) -> None:
        """Answer the next calls, or the next of one kind, with a server's failure."""
        with self._lock:
            self._gate.plan(calls, partial(refusals.broken, status), Kind(kind) if kind else None)

    def throttle(self, calls: int = 1, *, retry_after: int | None = None, kind: Kind | str | None = None) -> None:
        """Answer the next calls, or the next of one kind, with 429, and with `Retry-After` in seconds if given."""
        with self._lock:
            self._gate.plan(calls, partial(refusals.throttled, retry_after), Kind(kind) if kind else None)

    def deny(self, permission: Permission | str, *, client_id: str | None = None) -> None:
        """Take a permission such as `list` away, from everybody or from one client id."""
        with self._lock:
            self._gate.deny(Permission(permission), client_id)

    def allow(self, permission: Permission | str, *, client_id: str | None = None) -> None:
        """Give back what `deny` took away with the same arguments."""
        with self._lock:
            self._gate.allow(Permission(permission), client_id)

    def close_firewall(self) -> None:
        """Answer every call as if its sender's address were not let in."""
        self._gate.firewall_closed = True

    def open_firewall(self) -> None:
        """Undo `close_firewall`."""
        self._gate.firewall_closed = False

    def close_door(self) -> None:
        """Be unreachable: transports refuse the connection."""
        self._door_closed = True

    def open_door(self) -> None:
        """Undo `close_door`."""
        self._door_closed = False

    def demand_claims(self, claims: str = '{"access_token":{"nbf":{"essential":true,"value":"0"}}}') -> None:
        """Turn down the next token that comes, until a call brings another: continuous access evaluation."""
        with self._lock:
            self._gate.demand_claims(claims)

    # what it saw

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came, refused ones included; those without a good token count as `challenge`."""
        with self._lock:
            return Counter({str(kind): count for kind, count in self._gate.counts.items()})

    def forget_calls(self) -> None:
        """Count from zero again."""
        with self._lock:
            self._gate.counts.clear()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_version() -> str:
    return uuid4().hex


def _any_token(_token: str) -> Caller:
    return Caller()


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
