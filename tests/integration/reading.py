"""Reads a secret from a server that misbehaves, with either twin; neither secret nor token may show up anywhere."""

import json
import ssl
import traceback
from collections.abc import Awaitable
from typing import Protocol

import pytest
import trustme

from kvsecrets import AsyncSecretClient, KeyVaultSecret, RetryPolicy, SecretClient

SHORT = 0.5
"""Seconds of timeout where it is the timeout that ends a call."""
LONG = 20.0
"""Seconds of timeout where a call must end without it, however busy this machine is."""
MARGIN = 5.0
"""Seconds that a call may take beyond its timeout, however busy this machine is."""
TOKEN = "marked-token"
VALUE = "marked-value"
SECRET = json.dumps(
    {"value": VALUE, "id": "https://127.0.0.1/secrets/db/0123456789abcdef0123456789abcdef", "attributes": {}}
).encode()
ONCE = RetryPolicy(attempts=1)


class Credential:
    """Gives a token that must not show up anywhere."""

    class Token:
        token = TOKEN
        expires_on = 9_999_999_999

    def get_token(self, *scopes: str, **options: object) -> Token:
        return self.Token()


class Get(Protocol):
    """Reads a secret with either twin."""

    def __call__(self, url: str, timeout: float = LONG, retry: RetryPolicy = ONCE) -> Awaitable[KeyVaultSecret]: ...


async def get(url: str, timeout: float = LONG, retry: RetryPolicy = ONCE) -> KeyVaultSecret:  # noqa: ASYNC109 - the client's
    with SecretClient(url, Credential(), timeout=timeout, retry=retry) as client:
        return client.get_secret("db")


async def get_async(url: str, timeout: float = LONG, retry: RetryPolicy = ONCE) -> KeyVaultSecret:  # noqa: ASYNC109 - the client's
    async with AsyncSecretClient(url, Credential(), timeout=timeout, retry=retry) as client:
        return await client.get_secret("db")


both = pytest.mark.parametrize("read", [get, get_async], ids=["threads", "asyncio"])


def tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """Make a server's side of TLS, with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def whole(error: BaseException) -> str:
    """Everything that an error tells, its causes and their texts included."""
    return "".join(traceback.format_exception(error)) + repr(error)
