"""Steps flows by hand, without HTTP, clock or chance: look at what a flow wants, give it an answer, go on."""

import json
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from kvsecrets._auth import Access, Challenge
from kvsecrets._flow import Answer, Done, Effect, Flow, Login, Pause, Send, Token, advance
from kvsecrets._operations import Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets._wire import Request, Response
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


class Talk(Generic[T]):
    """A flow and how far it is."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._step: Effect | Done[T] = advance(flow, None)

    def answer(self, answer: Answer | KeyVaultError) -> Self:
        self._step = advance(self._flow, answer)
        return self

    @property
    def sends(self) -> Request:
        assert isinstance(self._step, Send), self._step
        return self._step.request

    @property
    def pauses(self) -> tuple[float, float]:
        assert isinstance(self._step, Pause), self._step
        return self._step.least, self._step.most

    @property
    def logs_in(self) -> Login:
        assert isinstance(self._step, Login), self._step
        return self._step

    @property
    def wants(self) -> Effect:
        assert not isinstance(self._step, Done), self._step
        return self._step

    @property
    def result(self) -> T:
        assert isinstance(self._step, Done), self._step
        return self._step.result


def answer(body: object = None, status: int = 200, **headers: str) -> Response:
    """An answer with a JSON body; header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, named, b"" if body is None else json.dumps(body).encode())


def refusal(
    status: int, code: str, inner: str | None = None, message: str = "No.", headers: Mapping[str, str] | None = None
) -> Response:
    """An error in Key Vault's shape."""
    error: dict[str, object] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return Response(status, headers or {}, json.dumps({"error": error}).encode())


def challenge(header: str = CHALLENGE) -> Response:
    """A 401 that asks to log in."""
    return refusal(401, "Unauthorized", headers={"www-authenticate": header})


def access(known: Challenge | None = KNOWN, *, retry: RetryPolicy | None = None, verify: bool = True) -> Access:
    """How a client gets in; by default it knows its vault's challenge already."""
    return Access("shop.vault.azure.net", retry or RetryPolicy(attempts=1), verify_resource=verify, challenge=known)


def vault() -> Vault:
    """A vault whose challenge is known, so that each request is a login and a sending."""
    return Vault(URL, "7.4", access())


def asked(flow: Flow[T]) -> tuple[Request, Talk[T]]:
    """The request that a flow makes once it has logged in, and the flow to go on with."""
    talk = Talk(flow).answer(TOKEN)
    return talk.sends, talk
