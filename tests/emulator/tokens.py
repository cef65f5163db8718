"""Issues and verifies access tokens: signed, dated, for one audience; knows neither clients nor HTTP."""

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
from jwt.types import Options

from kvsecrets.testing import Caller, CheckToken, TokenRefused

_ALGORITHM = "HS256"
_CHECKED_APART: Options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(slots=True)
class Tokens:
    """The tokens of one issuer. The real ones are signed with RSA keys; clients must treat both as opaque."""

    clock: Callable[[], datetime]
    lifetime: timedelta = timedelta(hours=1)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _revocations: Counter[str | None] = field(default_factory=Counter)

    def revoke(self, client_id: str | None = None) -> None:
        """Make every vault refuse the tokens issued so far, to one client or to all, without a claims challenge."""
        self._revocations[client_id] += 1

    def issue(self, *, tenant_id: str, client_id: str, audience: str) -> str:
        """Return a token for one client and one audience; no two are the same."""
        now = self.clock()
        claims = {
            "aud": audience,
            "iss": _issuer(tenant_id),
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
            "appid": client_id,
            "oid": client_id,
            "tid": tenant_id,
            "uti": uuid4().hex,
            "generation": self._generation(client_id),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def check_for(self, *, tenant_id: str, resource: str) -> CheckToken:
        """Return the check of a vault in that tenant that accepts tokens for that resource."""

        def check(token: str) -> Caller:
            claims = self._read(token)
            if claims["generation"] != self._generation(claims["appid"]):
                raise TokenRefused("[TokenRevoked] Error validating token: 'S2S12005'.")
            if claims["exp"] <= self.clock().timestamp():
                raise TokenRefused("[TokenExpired] Error validating token: 'S2S12086'.")
            if claims["aud"] != resource:
                raise TokenRefused(f"AKV10022: Invalid audience. Expected {resource}, found: {claims['aud']}.")
            if claims["iss"] != _issuer(tenant_id):
                expected = _issuer(tenant_id)
                raise TokenRefused(
                    f"AKV10032: Invalid issuer. Expected one of {expected}, found {claims['iss']}.",
                )
            return Caller(client_id=claims["appid"], object_id=claims["oid"], issuer=claims["iss"])

        return check

    def _generation(self, client_id: str) -> int:
        return self._revocations[None] + self._revocations[client_id]

    def _read(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._key, algorithms=[_ALGORITHM], options=_CHECKED_APART)
        except jwt.InvalidTokenError:
            raise TokenRefused("[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'.") from None


def _issuer(tenant_id: str) -> str:
    return f"https://sts.windows.net/{tenant_id}/"
