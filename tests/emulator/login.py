"""The login endpoint: what azure-identity requests from Microsoft Entra ID, as a request → response function.

It knows client secrets, certificates and federated credentials (workload identity). Of the assertion of a federated
credential it checks subject and audience alone: not its issuer, expiry or signature, which would need the keys of its
issuer.
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kvsecrets._protocol import Request, Response
from tests.emulator.tokens import Tokens

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_AUDIENCE = "api://AzureADTokenExchange"


@dataclass(slots=True)
class Registration:
    """One application that may log in: with a secret, a certificate, or an assertion about one of its subjects."""

    tenant_id: str
    secret: str | None = field(default=None, repr=False)
    subjects: set[str] = field(default_factory=set)
    certificate: x509.Certificate | None = None


class LoginRefused(Exception):
    """A rejected login, in Entra's terms."""

    def __init__(self, status: HTTPStatus, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.number = number


class LoginEndpoint:
    """Serves all tenants; counts the requests of each kind."""

    def __init__(self, url: str, tokens: Tokens) -> None:
        self.url = url
        self.registrations: dict[str, Registration] = {}
        self.counts: Counter[str] = Counter()
        self._tokens = tokens
        self._failures: list[Response] = []

    def fail(self, calls: int, status: int, body: str = "") -> None:
        """Answer the next requests for a token with that status and body; JSON is sent as JSON."""
        kind = "application/json" if body.startswith("{") else "text/html"
        self._failures += [Response(status, {"content-type": kind}, body.encode())] * calls

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        path = urlsplit(request.url).path.strip("/")
        match request.method, path.split("/"):
            case "GET", [tenant, "v2.0", ".well-known", "openid-configuration"]:
                self.counts["discovery"] += 1
                return _json(HTTPStatus.OK, self._configuration(tenant))
            case "GET", ["common", "discovery", "instance"]:
                self.counts["instance"] += 1
                return _json(HTTPStatus.OK, self._instance(request))
            case "POST", [tenant, "oauth2", "v2.0", "token"]:
                self.counts["token"] += 1
                return self._answer_token(tenant, request)
            case _:
                return _json(HTTPStatus.NOT_FOUND, {"error": "not_found"})

    def _configuration(self, tenant: str) -> dict[str, object]:
        """https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc ."""
        base = f"{self.url}/{tenant}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        }

    def _instance(self, request: Request) -> dict[str, object]:
        requested = parse_qs(urlsplit(request.url).query).get("authorization_endpoint", [""])[0]
        tenant = urlsplit(requested).path.strip("/").partition("/")[0] or "common"
        host = urlsplit(self.url).netloc
        return {
            "tenant_discovery_endpoint": f"{self.url}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }

    def _answer_token(self, tenant: str, request: Request) -> Response:
        if self._failures:
            return self._failures.pop(0)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        try:
            client_id = self._authenticate(tenant, form)
            audience = _audience(form)
        except LoginRefused as refused:
            return _json(refused.status, _refusal(refused))
        token = self._tokens.issue(tenant_id=tenant, client_id=client_id, audience=audience)
        lifetime = int(self._tokens.lifetime.total_seconds())
        answer = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
        return _json(HTTPStatus.OK, answer)

    def _authenticate(self, tenant: str, form: dict[str, str]) -> str:
        if form.get("grant_type") != "client_credentials":
            raise LoginRefused(
                HTTPStatus.BAD_REQUEST, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."
            )
        client_id = form.get("client_id", "")
        registration = self.registrations.get(client_id)
        if registration is None or registration.tenant_id != tenant:
            text = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
            raise LoginRefused(HTTPStatus.BAD_REQUEST, "unauthorized_client", 700016, text)
        if "client_assertion" in form:
            url = f"{self.url}/{tenant}/oauth2/v2.0/token"
            _check_assertion(form, registration, url=url)
        elif not registration.secret or not secrets.compare_digest(form.get("client_secret", ""), registration.secret):
            text = f"Invalid client secret provided for app '{client_id}'."
            raise LoginRefused(HTTPStatus.UNAUTHORIZED, "invalid_client", 7000215, text)
        return client_id


def _check_assertion(form: dict[str, str], registration: Registration, *, url: str) -> None:
    if registration.certificate is not None:
        _check_signature(form["client_assertion"], registration.certificate, url=url)
        return
    try:
        claims = jwt.decode(form["client_assertion"], options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise LoginRefused(
            HTTPStatus.UNAUTHORIZED, "invalid_client", 50027, "JWT token is invalid or malformed."
        ) from None
    audiences = claims.get("aud")
    audiences = audiences if isinstance(audiences, list) else [audiences]
    known = claims.get("sub") in registration.subjects and ASSERTION_AUDIENCE in audiences
    if form.get("client_assertion_type") != ASSERTION_TYPE or not known:
        text = (
            "No matching federated identity record found for presented assertion subject "
            f"'{claims.get('sub')}' and audience {audiences}."
        )
        raise LoginRefused(HTTPStatus.UNAUTHORIZED, "invalid_client", 700213, text)


def _check_signature(assertion: str, certificate: x509.Certificate, *, url: str) -> None:
    """https://learn.microsoft.com/entra/identity-platform/certificate-credentials ."""
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    try:
        jwt.decode(assertion, key, algorithms=["PS256"], audience=url)
    except jwt.InvalidTokenError:
        text = "Client assertion failed signature validation."
        raise LoginRefused(HTTPStatus.UNAUTHORIZED, "invalid_client", 700027, text) from None


def _audience(form: dict[str, str]) -> str:
    scopes = [scope for scope in form.get("scope", "").split() if scope.endswith("/.default")]
    if len(scopes) != 1:
        text = "The provided value for the input parameter 'scope' is not valid."
        raise LoginRefused(HTTPStatus.BAD_REQUEST, "invalid_scope", 1002012, text)
    return scopes[0].removesuffix("/.default")


def _refusal(refused: LoginRefused) -> dict[str, object]:
    trace = str(uuid4())
    return {
        "error": refused.error,
        "error_description": f"AADSTS{refused.number}: {refused} Trace ID: {trace}",
        "error_codes": [refused.number],
        "trace_id": trace,
    }


def _json(status: HTTPStatus, document: dict[str, object]) -> Response:
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store, no-cache"}
    return Response(status, headers, json.dumps(document).encode())
