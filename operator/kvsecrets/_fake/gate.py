"""What a call must pass before the secrets are touched: tokens, firewall, planned failures, permissions.

It counts the calls too. It knows nothing of secrets.
"""

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvsecrets._fake import refusals
from kvsecrets._fake.calls import Call, Kind, Permission
from kvsecrets._fake.profile import Profile
from kvsecrets._fake.refusals import VaultRefused

_NO_TOKEN = "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."  # noqa: S105 - the words of a refusal


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token speaks for, as far as the vault can tell."""

    client_id: str = "00000000-0000-0000-0000-000000000000"
    object_id: str = "00000000-0000-0000-0000-000000000000"
    issuer: str = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"

    def __str__(self) -> str:
        """The caller as the vault names it in its refusals."""
        return f"appid={self.client_id};oid={self.object_id};iss={self.issuer}"


class TokenRefused(Exception):
    """A token check says no; its text is what the vault answers, such as the `AKV…` sentences."""


CheckToken = Callable[[str], Caller]
"""Looks at a bearer token and says who it is; raises `TokenRefused`."""


@dataclass(slots=True)
class _Planned:
    """A failure that the next calls will meet."""

    remaining: int
    kind: Kind | None
    refusal: Callable[[], VaultRefused]


class Gate:
    """Stands before one vault."""

    def __init__(self, profile: Profile, *, require_token: bool, check_token: CheckToken) -> None:
        self.counts: Counter[Kind] = Counter()
        self.firewall_closed = False
        self._profile = profile
        self._require_token = require_token
        self._check_token = check_token
        self._planned: list[_Planned] = []
        self._denied: set[tuple[Permission, str | None]] = set()
        self._claims: str | None = None
        self._refused_token: str | None = None

    def admit(self, call: Call, headers: Mapping[str, str]) -> Caller:
        """Let a call in, or refuse it; permissions are checked apart, in `authorize`.

        Header names are lower case.
        """
        try:
            caller = self._identify(headers)
        except VaultRefused:
            self.counts[Kind.CHALLENGE] += 1
            raise
        self.counts[call.kind] += 1
        if self.firewall_closed:
            raise refusals.firewall(str(caller), self._profile.name)
        self._meet_planned_failure(call)
        return caller

    def authorize(self, caller: Caller, call: Call) -> None:
        """Refuse a call that its caller has no right to make."""
        permission = call.permission
        if permission is None:
            return
        if {(permission, None), (permission, caller.client_id)} & self._denied:
            if self._profile.rbac:
                raise refusals.no_role(str(caller), call.action, self._profile.name, call.name)
            raise refusals.no_policy(str(caller), permission, self._profile.name)

    def plan(self, calls: int, refusal: Callable[[], VaultRefused], kind: Kind | None) -> None:
        """Have the next calls, or the next of one kind, fail."""
        self._planned.append(_Planned(calls, kind, refusal))

    def deny(self, permission: Permission, client_id: str | None) -> None:
        """Take a right away, from one caller or from all."""
        self._denied.add((permission, client_id))

    def allow(self, permission: Permission, client_id: str | None) -> None:
        """Give a right back that `deny` took with the same words."""
        self._denied.discard((permission, client_id))

    def demand_claims(self, claims: str) -> None:
        """Refuse the next token that comes, wherever it is used, until a call brings another one."""
        self._claims = claims
        self._refused_token = None

    def _identify(self, headers: Mapping[str, str]) -> Caller:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            if not self._require_token:
                return Caller()
            raise refusals.unauthorized(_NO_TOKEN, self._challenge())
        try:
            caller = self._check_token(token)
        except TokenRefused as refused:
            raise refusals.unauthorized(str(refused), self._challenge()) from None
        self._check_claims(token)
        return caller

    def _challenge(self) -> str:
        login = f"{self._profile.authority}/{self._profile.tenant_id}"
        return f'Bearer authorization="{login}", resource="{self._profile.resource}"'

    def _check_claims(self, token: str) -> None:
        """Ask for a token with more claims: continuous access evaluation.

        https://learn.microsoft.com/entra/identity-platform/app-resilience-continuous-access-evaluation
        [?] Key Vault's own header is not recorded; this is the one that the vendor's client is tested with.
        """
        if self._claims is None:
            return
        if self._refused_token is None:
            self._refused_token = token
        if token != self._refused_token:
            self._claims = None
            return
        claims = base64.b64encode(self._claims.encode()).decode()
        challenge = (
            f'Bearer realm="", authorization_uri="{self._profile.authority}/common/oauth2/authorize", '
            f'error="insufficient_claims", claims="{claims}"'
        )
        raise refusals.unauthorized("AKV10083: Continuous access evaluation resulted in a challenge.", challenge)

    def _meet_planned_failure(self, call: Call) -> None:
        for planned in self._planned:
            if planned.kind in (None, call.kind):
                planned.remaining -= 1
                if planned.remaining <= 0:
                    self._planned.remove(planned)
                raise planned.refusal()
