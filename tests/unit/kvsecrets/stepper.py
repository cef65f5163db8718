"""Steps flows without HTTP, clock or random numbers: shows the effect of a flow, and resumes it with a result."""

import json
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from kvsecrets._auth import AuthContext, Challenge
from kvsecrets._protocol import (
    Done,
    Effect,
    EffectResult,
    Flow,
    Pause,
    Request,
    Response,
    Send,
    Token,
    TokenRequest,
    advance,
)
from kvsecrets._requests import Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets.errors import KeyVaultError

T = TypeVar("T")

URL = "https://shop.vault.azure.net"
VERSION = "0123456789abcdef0123456789abcdef"
TOKEN = Token("first-token", expires_on=9_999_999_999)
KNOWN = Challenge("https://vault.azure.net/.default", "tenant-1")
CHALLENGE = 'Bearer authorization="https://login.microsoftonline.com/tenant-1", resource="https://vault.azure.net"'
MOVED = 'Bearer authorization="https://login.microsoftonline.com/tenant-2", resource="https://vault.azure.net"'
SECRET: dict[str, Any] = {
    "value": "hunter2",
    "id": f"{URL}/secrets/db/{VERSION}",
    "attributes": {
        "enabled": True,
        "created": 1_700_000_000,
        "updated": 1_700_000_100,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    },
}
PROPERTIES = {key: field for key, field in SECRET.items() if key != "value"}
DELETED = {
    "recoveryId": f"{URL}/deletedsecrets/db",
    "deletedDate": 1_700_000_200,
    "scheduledPurgeDate": 1_707_776_200,
    **PROPERTIES,
}


class Stepper(Generic[T]):
    """A started flow and its current step."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._step: Effect | Done[T] = advance(flow, None)

    def resume(self, result: EffectResult | KeyVaultError) -> Self:
        self._step = advance(self._flow, result)
        return self

    @property
    def request(self) -> Request:
        assert isinstance(self._step, Send), self._step
        return self._step.request

    @property
    def pause(self) -> tuple[float, float]:
        assert isinstance(self._step, Pause), self._step
        return self._step.min_seconds, self._step.max_seconds

    @property
    def token_request(self) -> TokenRequest:
        assert isinstance(self._step, TokenRequest), self._step
        return self._step

    @property
    def effect(self) -> Effect:
        assert not isinstance(self._step, Done), self._step
        return self._step

    @property
    def result(self) -> T:
        assert isinstance(self._step, Done), self._step
        return self._step.result


def response(body: object = None, status: int = 200, **headers: str) -> Response:
    """A response with a JSON body; header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, named, b"" if body is None else json.dumps(body).encode())


def error_response(
    status: int, code: str, inner: str | None = None, message: str = "No.", headers: Mapping[str, str] | None = None
) -> Response:
    """An error in Key Vault's format."""
    error: dict[str, object] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return Response(status, headers or {}, json.dumps({"error": error}).encode())


def challenge_response(header: str = CHALLENGE) -> Response:
    """A 401 with a challenge."""
    return error_response(401, "Unauthorized", headers={"www-authenticate": header})


def auth_context(
    challenge: Challenge | None = KNOWN, *, retry: RetryPolicy | None = None, verify: bool = True
) -> AuthContext:
    """The state of a client, which has its vault's challenge already by default; it does not retry."""
    return AuthContext(
        "shop.vault.azure.net", retry or RetryPolicy(attempts=1), verify_resource=verify, challenge=challenge
    )


def vault() -> Vault:
    """A vault whose challenge is known, so that a flow yields a token request and then its request."""
    return Vault(URL, "7.4", auth_context())


def step_to_request(flow: Flow[T]) -> tuple[Request, Stepper[T]]:
    """Log in and return the request of a flow, and the stepper to continue with."""
    stepper = Stepper(flow).resume(TOKEN)
    return stepper.request, stepper
