"""Key Vault's challenge: the first request of a client draws a 401 that says where and for what to log in.

1. The request goes out without token and without body; the vault answers 401 and names tenant and resource.
2. The resource must be the vault's own domain, or we ask for no token: a token for one domain never goes to another.
3. A token for that resource goes along with the real request and with all that follow.

What was learnt is kept per client. A later 401 means that the token no longer counts: because the vault moved to
another tenant (a new challenge) or because the session was revoked (a "claims" challenge). Each is answered once, by
logging in again. https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
"""

import base64
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from kvsecrets._failures import failure
from kvsecrets._flow import ANSWER_LIMIT, Flow, Login, Token, login
from kvsecrets._retry import RetryPolicy, attempted
from kvsecrets._wire import Request, Response
from kvsecrets.errors import UnexpectedAnswer, UntrustedChallenge

UNAUTHORIZED = 401
_HEADER_CHARACTERS = 16_384
_BEARER = re.compile(r"(?:^|,)\s*Bearer\s+", re.IGNORECASE)
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]*))')
_SCOPE = re.compile(r"https://([0-9a-z.-]+)(?::443)?(?:/[!-~]*)?", re.ASCII | re.IGNORECASE)
_TENANT = re.compile(r"[0-9a-zA-Z.-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Where to log in: a scope for the token, and the tenant if one is named."""

    scope: str
    tenant: str | None = None


@dataclass(slots=True)
class Access:
    """How one client gets into its vault, and what its vault's challenge said; shared by all calls of the client."""

    host: str
    retry: RetryPolicy
    verify_resource: bool = True
    challenge: Challenge | None = None
    refused: Token | None = None
    """The token that the vault turned down last; it is never used again."""


def authorized(
    request: Request, access: Access, *, repeatable: bool = True, limit: int = ANSWER_LIMIT
) -> Flow[Response]:
    """Send a request with a token, logging in where needed; return the answer, whatever it says."""
    challenge = access.challenge
    discovered = challenge is None
    if challenge is None:
        response = yield from attempted(replace(request, body=b""), access.retry, repeatable=repeatable, limit=limit)
        challenge = _learnt(response, request, access)
        if challenge is None:
            return response
    claims: str | None = None
    while True:
        token = yield from login(Login(challenge.scope, challenge.tenant, claims, access.refused))
        response = yield from attempted(_signed(request, token), access.retry, repeatable=repeatable, limit=limit)
        if response.status != UNAUTHORIZED:
            return response
        access.refused = token
        parameters = bearer_parameters(response.headers.get("www-authenticate", ""))
        demanded = claims_of(parameters)
        if demanded is not None and claims is None:
            claims = demanded
            continue
        fresh = challenge_of(parameters)
        if fresh is None or discovered or claims is not None:
            access.challenge = None
            return response
        challenge = access.challenge = _verified(fresh, access)
        discovered = True


def bearer_parameters(header: str) -> dict[str, str]:
    """Read the parameters of a `WWW-Authenticate` header's Bearer challenge; empty if there is none.

    Names are in lower case. Of a name given twice the first counts.
    """
    header = header[:_HEADER_CHARACTERS]
    start = _BEARER.search(header)
    parameters: dict[str, str] = {}
    position = start.end() if start else len(header)
    while match := _PARAMETER.match(header, position):
        name, quoted, plain = match.groups()
        parameters.setdefault(name.lower(), quoted if quoted is not None else plain)
        position = match.end()
    return parameters


def challenge_of(parameters: dict[str, str]) -> Challenge | None:
    """Return what a challenge asks for, or None if it names no scope and no resource.

    The tenant is the first part of the login page's path; `adfs` there means that no tenant is to be named.
    """
    scope = parameters.get("scope") or ""
    resource = (parameters.get("resource") or "").rstrip("/")
    if not scope and not resource:
        return None
    page = parameters.get("authorization") or parameters.get("authorization_uri") or ""
    try:
        tenant = urlsplit(page).path.strip("/").partition("/")[0]
    except ValueError:
        tenant = ""
    known = bool(_TENANT.fullmatch(tenant)) and tenant.lower() != "adfs"
    return Challenge(scope or f"{resource}/.default", tenant if known else None)


def claims_of(parameters: dict[str, str]) -> str | None:
    """Return the claims that a challenge demands, as the JSON text that credentials take; None if it demands none.

    They come in base64, of either alphabet, often without padding.
    https://learn.microsoft.com/entra/identity-platform/claims-challenge
    """
    encoded = parameters.get("claims", "").replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode() or None
    except ValueError:
        return None


def belongs(scope: str, host: str) -> bool:
    """Whether a scope's domain is the vault's own: the same, or one that the vault's host name lies below.

    The vendor's client wants the second; the first adds nothing that an attacker could use, and lets a vault stand in
    for itself in tests. A bare top-level domain is nobody's.
    """
    match = _SCOPE.fullmatch(scope)
    if match is None:
        return False
    domain = match[1].lower()
    return domain == host or ("." in domain.strip(".") and host.endswith(f".{domain}"))


def _learnt(response: Response, request: Request, access: Access) -> Challenge | None:
    """Return the vault's challenge, now known to the client; None if the answer needs none and is the real one."""
    if response.status == UNAUTHORIZED:
        fresh = challenge_of(bearer_parameters(response.headers.get("www-authenticate", "")))
        if fresh is None:
            raise failure(response)
        access.challenge = _verified(fresh, access)
        return access.challenge
    if request.body and response.status < UNAUTHORIZED:
        raise UnexpectedAnswer(
            f"the server took a request without a token (status {response.status}); "
            "nothing secret is sent to a server that asks for no login",
            status=response.status,
        )
    return None


def _verified(challenge: Challenge, access: Access) -> Challenge:
    if access.verify_resource and not belongs(challenge.scope, access.host):
        raise UntrustedChallenge(
            f"{access.host} asks for a token for {challenge.scope[:200]!r}, not its own domain; it gets none. If "
            "this is an emulator that you trust, pass verify_challenge_resource=False"
        )
    return challenge


def _signed(request: Request, token: Token) -> Request:
    headers = {**request.headers, "authorization": f"Bearer {token.text}"}
    return Request(request.method, request.url, headers, request.body)
