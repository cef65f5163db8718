"""The service: authenticates and authorizes a call, fails it if that was planned, executes it, and writes the response.

`AccessControl` decides whether a call reaches the secrets and counts the calls; it knows nothing of secrets.
`Service` has the order of the checks. What the operations do to secrets is in the store.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kvsecrets._fake import errors, requests
from kvsecrets._fake.config import API_VERSIONS, VaultConfig
from kvsecrets._fake.errors import VaultRefused
from kvsecrets._fake.formats import (
    Bodies,
    Json,
    decode_backup,
    decode_marker,
    encode_backup,
    encode_json,
    response_headers,
)
from kvsecrets._fake.requests import Call, Kind, Permission, error_of_unknown, parse_call
from kvsecrets._fake.store import Phase, Store, check_name, page_of_versions
from kvsecrets._protocol import Request, Response

_NO_TOKEN = "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."  # noqa: S105 - an error message
_PAGE_SIZE = 25
_DIGITS = re.compile("[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity that a token belongs to, as the vault names it in error messages."""

    client_id: str = "00000000-0000-0000-0000-000000000000"
    object_id: str = "00000000-0000-0000-0000-000000000000"
    issuer: str = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"

    def __str__(self) -> str:
        """Return the caller as in the vault's error messages."""
        return f"appid={self.client_id};oid={self.object_id};iss={self.issuer}"


class TokenRefused(Exception):
    """Raised by a `CheckToken` for an invalid token; its text is the message of the 401 response."""


CheckToken = Callable[[str], Caller]
"""Returns the caller of a bearer token, or raises `TokenRefused`."""


@dataclass(slots=True)
class _PlannedFailure:
    """An error for the next calls."""

    remaining: int
    kind: Kind | None
    make_error: Callable[[], VaultRefused]


class AccessControl:
    """Tokens, firewall, planned failures and permissions of one vault."""

    def __init__(self, config: VaultConfig, *, require_token: bool, check_token: CheckToken) -> None:
        self.counts: Counter[Kind] = Counter()
        self.firewall_closed = False
        self._config = config
        self._require_token = require_token
        self._check_token = check_token
        self._planned: list[_PlannedFailure] = []
        self._denied: set[tuple[Permission, str | None]] = set()
        self._claims: str | None = None
        self._rejected_token: str | None = None

    def authenticate(self, call: Call, headers: Mapping[str, str]) -> Caller:
        """Count a call and return its caller, or raise the error of its token, of the firewall or of a planned failure.

        Header names are in lower case.
        """
        try:
            caller = self._identify(headers)
        except VaultRefused:
            self.counts[Kind.CHALLENGE] += 1
            raise
        self.counts[call.kind] += 1
        if self.firewall_closed:
            raise errors.denied_by_firewall(str(caller), self._config.name)
        self._raise_planned_failure(call)
        return caller

    def authorize(self, caller: Caller, call: Call) -> None:
        """Raise an error if the caller lacks the permission for a call."""
        permission = call.permission
        if permission is None:
            return
        if {(permission, None), (permission, caller.client_id)} & self._denied:
            if self._config.rbac:
                raise errors.denied_by_rbac(str(caller), call.action, self._config.name, call.name)
            raise errors.denied_by_policy(str(caller), permission, self._config.name)

    def plan(self, calls: int, make_error: Callable[[], VaultRefused], kind: Kind | None) -> None:
        """Make the next calls, or the next of one kind, fail."""
        self._planned.append(_PlannedFailure(calls, kind, make_error))

    def forget_failures(self, kind: Kind | None) -> None:
        """Drop the planned failures, those of one kind or all."""
        self._planned = [planned for planned in self._planned if kind not in (None, planned.kind)]

    def deny(self, permission: Permission, client_id: str | None) -> None:
        """Remove a permission, of one caller or of all."""
        self._denied.add((permission, client_id))

    def allow(self, permission: Permission, client_id: str | None) -> None:
        """Undo `deny` with the same arguments."""
        self._denied.discard((permission, client_id))

    def demand_claims(self, claims: str) -> None:
        """Reject the next token, in every call, until a call has another one."""
        self._claims = claims
        self._rejected_token = None

    def accept_claims(self) -> None:
        """Undo `demand_claims`."""
        self._claims = None

    def _identify(self, headers: Mapping[str, str]) -> Caller:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            if not self._require_token:
                return Caller()
            raise errors.unauthorized(_NO_TOKEN, self._challenge())
        try:
            caller = self._check_token(token)
        except TokenRefused as refused:
            raise errors.unauthorized(str(refused), self._challenge()) from None
        self._check_claims(token)
        return caller

    def _challenge(self) -> str:
        login_url = f"{self._config.authority}/{self._config.tenant_id}"
        return f'Bearer authorization="{login_url}", resource="{self._config.resource}"'

    def _check_claims(self, token: str) -> None:
        """Require a token with more claims: continuous access evaluation.

        https://learn.microsoft.com/entra/identity-platform/app-resilience-continuous-access-evaluation
        [?] Key Vault's own header is not recorded; this is the one that the vendor's client is tested with.
        """
        if self._claims is None:
            return
        if self._rejected_token is None:
            self._rejected_token = token
        if token != self._rejected_token:
            self._claims = None
            return
        claims = base64.b64encode(self._claims.encode()).decode()
        challenge = (
            f'Bearer realm="", authorization_uri="{self._config.authority}/common/oauth2/authorize", '
            f'error="insufficient_claims", claims="{claims}"'
        )
        raise errors.unauthorized("AKV10083: Continuous access evaluation resulted in a challenge.", challenge)

    def _raise_planned_failure(self, call: Call) -> None:
        for planned in self._planned:
            if planned.kind in (None, call.kind):
                planned.remaining -= 1
                if planned.remaining <= 0:
                    self._planned.remove(planned)
                raise planned.make_error()


class Service:
    """Responds to requests to one vault; not safe for concurrent calls."""

    def __init__(self, config: VaultConfig, store: Store, access: AccessControl) -> None:
        self._config = config
        self._store = store
        self._access = access

    def respond(self, request: Request, now: datetime) -> Response:
        """Return the response to a request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = self._execute(parse_call(request), headers, request.body, now)
        except VaultRefused as refused:
            return self._response(refused.status, refused.body, headers, now, refused.headers)
        return self._response(200 if body else 204, body, headers, now, {})

    def _execute(self, call: Call, headers: Mapping[str, str], body: bytes, now: datetime) -> Json | None:
        caller = self._access.authenticate(call, headers)
        api_version = call.query.get("api-version", "")
        if api_version not in API_VERSIONS:
            raise errors.unknown_api_version(api_version)
        if call.kind is Kind.GET_DELETED:
            self._store.deleted(call.name)  # a caller without permission gets 404 first, 403 once it is deleted
        self._access.authorize(caller, call)
        if call.kind not in _OPERATIONS:
            raise error_of_unknown(call)
        return _OPERATIONS[call.kind](_Context(self._store, Bodies(self._config, api_version), now), call, body)

    def _response(
        self, status: int, body: Json | None, request_headers: Mapping[str, str], now: datetime, more: Mapping[str, str]
    ) -> Response:
        content = encode_json(body) if body else b""
        headers = response_headers(request_headers, status, content, now, rbac=self._config.rbac)
        return Response(status, {**headers, **more}, content)


@dataclass(frozen=True, slots=True)
class _Context:
    """What an operation works on: the store, the bodies in its API version, and the time."""

    store: Store
    bodies: Bodies
    now: datetime


def _set(context: _Context, call: Call, body: bytes) -> Json:
    document = requests.parse_object(body)
    value, changes = requests.parse_value(document), requests.parse_changes(document)
    secret = context.store.set(call.name, value, changes, context.now)
    return context.bodies.secret(secret, secret.newest)


def _get(context: _Context, call: Call, _body: bytes) -> Json:
    secret, version = context.store.version(call.name, call.version)
    if not version.enabled:
        raise errors.secret_disabled()
    return context.bodies.secret(secret, version, call.query.get("outContentType", ""))


def _update(context: _Context, call: Call, body: bytes) -> Json:
    changes = requests.parse_changes(requests.parse_object(body))
    return context.bodies.properties(*context.store.update(call.name, call.version, changes, context.now))


def _delete(context: _Context, call: Call, _body: bytes) -> Json:
    return context.bodies.deleted(context.store.delete(call.name, context.now))


def _list_secrets(context: _Context, call: Call, _body: bytes) -> Json:
    size, marker = _paging(call)
    secrets, following = context.store.rows.page(Phase.LIVE, marker, size or _PAGE_SIZE)
    items = [context.bodies.properties(secret, secret.newest, with_version=False) for secret in secrets]
    return context.bodies.page(call.path, items, following, size)


def _list_versions(context: _Context, call: Call, _body: bytes) -> Json:
    check_name(call.name)
    size, marker = _paging(call)
    secret = context.store.rows.find(call.name)
    if secret is None or secret.phase is not Phase.LIVE:  # [?] the response for a deleted name may differ
        return context.bodies.page(call.path, [], None, size)
    versions, following = page_of_versions(secret, marker.partition("/")[2], size or _PAGE_SIZE)
    items = [context.bodies.properties(secret, version) for version in versions]
    next_marker = f"{secret.name.upper()}/{following}" if following else None
    return context.bodies.page(call.path, items, next_marker, size)


def _get_deleted(context: _Context, call: Call, _body: bytes) -> Json:
    return context.bodies.deleted(context.store.deleted(call.name))


def _list_deleted(context: _Context, call: Call, _body: bytes) -> Json:
    size, marker = _paging(call)
    secrets, following = context.store.rows.page(Phase.DELETED, marker, size or _PAGE_SIZE)
    items = [context.bodies.deleted(secret, with_version=False) for secret in secrets]
    return context.bodies.page(call.path, items, following, size)


def _recover(context: _Context, call: Call, _body: bytes) -> Json:
    secret = context.store.recover(call.name, context.now)
    return context.bodies.properties(secret, secret.newest)


def _purge(context: _Context, call: Call, _body: bytes) -> None:
    context.store.purge(call.name, context.now)


def _backup(context: _Context, call: Call, _body: bytes) -> Json:
    return {"value": encode_backup(context.store.live(call.name))}  # [?] for a disabled secret too


def _restore(context: _Context, _call: Call, body: bytes) -> Json:
    blob = requests.parse_object(body).get("value")
    if not isinstance(blob, str):
        raise errors.bad_property()
    secret = context.store.restore(decode_backup(blob))
    return context.bodies.properties(secret, secret.newest)


_OPERATIONS: Mapping[Kind, Callable[[_Context, Call, bytes], Json | None]] = {
    Kind.SET: _set,
    Kind.GET: _get,
    Kind.UPDATE: _update,
    Kind.DELETE: _delete,
    Kind.LIST: _list_secrets,
    Kind.LIST_VERSIONS: _list_versions,
    Kind.GET_DELETED: _get_deleted,
    Kind.LIST_DELETED: _list_deleted,
    Kind.RECOVER: _recover,
    Kind.PURGE: _purge,
    Kind.BACKUP: _backup,
    Kind.RESTORE: _restore,
}


def _paging(call: Call) -> tuple[int | None, str]:
    """Return the page size, or None if the caller has given none, and the marker of the page."""
    size = call.query.get("maxresults")
    token = call.query.get("$skiptoken")
    if size is not None and not (_DIGITS.fullmatch(size) and 1 <= int(size) <= _PAGE_SIZE):
        raise errors.bad_paging("maxresults")  # [?] the service's response to 0 and to 26 is not recorded
    return (int(size) if size else None), (decode_marker(token) if token else "")
