"""Key Vault's authentication challenge: which token to request, and sending requests with it.

1. The first request of a client has no token and no body. The vault responds 401 and names its tenant and resource.
2. The resource must be the vault's own domain. Otherwise no token is requested: a token for one domain is never sent to
   another.
3. The real request and all later ones carry a token for that resource.

The challenge is kept per client. A later 401 means that the token is no longer accepted, and that the request was not
executed: the vault moved to another tenant (a new challenge), requires more of the token (a claims challenge), or the
token was revoked (the same challenge or none). A call handles each of them once, by a new login.
https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
"""

import base64
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from kvsecrets._protocol import (
    MAX_RESPONSE_BYTES,
    Flow,
    Request,
    Response,
    Token,
    TokenRequest,
    decode_json,
    get_token,
)
from kvsecrets._responses import error_from
from kvsecrets._retry import RetryPolicy, send_with_retries
from kvsecrets.errors import UnexpectedAnswer, UntrustedChallenge

UNAUTHORIZED = 401
MAX_HEADER_CHARACTERS = 16_384
_BEARER = re.compile(r"(?:^|,)\s*Bearer\s+", re.IGNORECASE)
# Possessive: a header of blanks would take quadratic time, which is seconds.
_PARAMETER = re.compile(r'\s*+,?\s*+([A-Za-z_]++)\s*+=\s*+(?:"([^"]*+)"|([^\s,"]*+))')
_SCOPE = re.compile(r"https://([0-9a-z.-]+)(?::443)?(?:/[!-~]*)?", re.ASCII | re.IGNORECASE)
_TENANT = re.compile(r"[0-9a-zA-Z.-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The scope of the token that the vault requires, and the tenant if it names one."""

    scope: str
    tenant: str | None = None


@dataclass(slots=True)
class AuthContext:
    """How a client authenticates with its vault, and the vault's last challenge; shared by all calls of the client."""

    host: str
    retry: RetryPolicy
    verify_resource: bool = True
    challenge: Challenge | None = None
    rejected: Token | None = None
    """The token that the vault rejected last; it is not used again."""


def send_authorized(
    request: Request, auth: AuthContext, *, repeatable: bool = True, max_bytes: int = MAX_RESPONSE_BYTES
) -> Flow[Response]:
    """Send a request with a token, and log in where needed.

    Returns:
        The vault's response to the request, whatever its status.

    Raises:
        NotAuthenticated: The vault responds 401 without a challenge that can be parsed.
        UntrustedChallenge: The challenge names a domain that is not the vault's own.
        UnexpectedAnswer: The server accepts a request with a body although it has no token.
    """
    challenge = auth.challenge
    discovered = challenge is None
    if challenge is None:
        response = yield from send_with_retries(
            replace(request, body=b""), auth.retry, repeatable=repeatable, max_bytes=max_bytes
        )
        challenge = _discover(response, request, auth)
        if challenge is None:
            return response
    remedies = _Remedies(moved=discovered)
    rejection: Response | None = None
    while True:
        token = yield from get_token(TokenRequest(challenge.scope, challenge.tenant, remedies.claims, auth.rejected))
        if rejection is not None and auth.rejected is not None and token.text == auth.rejected.text:
            return rejection  # there is no other token yet
        response = yield from send_with_retries(
            _with_token(request, token), auth.retry, repeatable=repeatable, max_bytes=max_bytes
        )
        if response.status != UNAUTHORIZED:
            return response
        auth.rejected, rejection = token, response
        parameters = parse_bearer(response.headers.get("www-authenticate", ""))
        named = parse_challenge(parameters) or challenge
        if not remedies.apply(parse_claims(parameters), is_other=named != challenge):
            auth.challenge = None
            return response
        if remedies.claims is None and named != challenge:
            challenge = auth.challenge = _verify(named, auth)


@dataclass(slots=True)
class _Remedies:
    """What a call has done about rejected tokens; each remedy is applied once."""

    moved: bool
    """The challenge is as new as the call."""

    claims: str | None = None
    replaced: bool = False

    def apply(self, required_claims: str | None, *, is_other: bool) -> bool:
        """Choose the remedy for a 401: more claims, another challenge, or another token. False if none is left."""
        if self.claims is not None:
            return False
        if required_claims is not None:
            self.claims = required_claims
            return True
        if is_other:
            is_first, self.moved = not self.moved, True
        else:
            is_first, self.replaced = not self.replaced, True
        return is_first


def parse_bearer(header: str) -> dict[str, str]:
    """Parse the parameters of the Bearer challenge in a `WWW-Authenticate` header.

    Returns:
        The parameters by name in lower case, the first of each name; empty if there is no Bearer challenge.
    """
    header = header[:MAX_HEADER_CHARACTERS]
    start = _BEARER.search(header)
    parameters: dict[str, str] = {}
    position = start.end() if start else len(header)
    while match := _PARAMETER.match(header, position):
        name, quoted, plain = match.groups()
        parameters.setdefault(name.lower(), quoted if quoted is not None else plain)
        position = match.end()
    return parameters


def parse_challenge(parameters: dict[str, str]) -> Challenge | None:
    """Return the challenge of a header's parameters, or None if they name neither a scope nor a resource.

    The tenant is the first segment of the login URL's path, or the second after `dstsv2`, which is how dSTS, the login
    of Azure's own services, names it: https://github.com/Azure/azure-sdk-for-python/issues/45320. `adfs` means that no
    tenant may be named.
    """
    scope = parameters.get("scope") or ""
    resource = (parameters.get("resource") or "").rstrip("/")
    if not scope and not resource:
        return None
    login_url = parameters.get("authorization") or parameters.get("authorization_uri") or ""
    try:
        tenant, _, rest = urlsplit(login_url).path.strip("/").partition("/")
    except ValueError:
        tenant, rest = "", ""
    if tenant.lower() == "dstsv2":
        tenant = rest.strip("/").partition("/")[0]
    has_tenant = bool(_TENANT.fullmatch(tenant)) and tenant.lower() != "adfs"
    return Challenge(scope or f"{resource}/.default", tenant if has_tenant else None)


def parse_claims(parameters: dict[str, str]) -> str | None:
    """Return the claims that a challenge requires, or None if it requires none.

    They are a JSON object in base64, in either alphabet, often without padding. The text is passed to the credential,
    which decodes it; its depth is checked here.
    https://learn.microsoft.com/entra/identity-platform/claims-challenge
    """
    encoded = parameters.get("claims", "").replace("+", "-").replace("/", "_")
    try:
        claims = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        return claims.decode() if isinstance(decode_json(claims), dict) else None
    except ValueError:
        return None


def is_vault_domain(scope: str, host: str) -> bool:
    """Whether a scope's domain is the vault's host name or a parent domain of it.

    The vendor's clients accept only a parent domain. The host name itself is accepted too: an attacker gains nothing
    from it, and a vault on `localhost` can name itself in tests. A top-level domain is never accepted.
    """
    match = _SCOPE.fullmatch(scope)
    if match is None:
        return False
    domain = match[1].lower()
    return domain == host or ("." in domain.strip(".") and host.endswith(f".{domain}"))


def _discover(response: Response, request: Request, auth: AuthContext) -> Challenge | None:
    """Store and return the challenge in the response to the first request; None if that response is the final one."""
    if response.status == UNAUTHORIZED:
        challenge = parse_challenge(parse_bearer(response.headers.get("www-authenticate", "")))
        if challenge is None:
            raise error_from(response)
        auth.challenge = _verify(challenge, auth)
        return auth.challenge
    if request.body and response.status < UNAUTHORIZED:
        raise UnexpectedAnswer(
            f"the server accepted a request without a token (status {response.status}); "
            "a secret value is not sent to a server that requires no login",
            status=response.status,
        )
    return None


def _verify(challenge: Challenge, auth: AuthContext) -> Challenge:
    if auth.verify_resource and not is_vault_domain(challenge.scope, auth.host):
        raise UntrustedChallenge(
            f"{auth.host} requests a token for {challenge.scope[:200]!r}, which is not its own domain; no token was "
            "requested or sent. For an emulator that you trust, pass verify_challenge_resource=False"
        )
    return challenge


def _with_token(request: Request, token: Token) -> Request:
    return replace(request, headers={**request.headers, "authorization": f"Bearer {token.text}"})
