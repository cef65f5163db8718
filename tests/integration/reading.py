"""Reads a secret from a faulty server, with either client; neither secret nor token may appear in any text."""

import json
import ssl
import traceback
from collections.abc import Awaitable
from typing import Protocol

import pytest
import trustme

from kvsecrets import AsyncSecretClient, KeyVaultSecret, RetryPolicy, SecretClient

SHORT = 0.5
"""Timeout in seconds where the timeout ends the call, however fast the machine is."""
LONG = 60.0
"""Timeout in seconds where the call ends before it, also on a busy machine."""
TOKEN = "marked-token"
VALUE = "marked-value"
SECRET = json.dumps(
    {"value": VALUE, "id": "https://127.0.0.1/secrets/db/0123456789abcdef0123456789abcdef", "attributes": {}}
).encode()
NO_RETRY = RetryPolicy(attempts=1)


class Credential:
    """Returns a token that must not appear in any text."""

    class Token:
        token = TOKEN
        expires_on = 9_999_999_999

    def get_token(self, *scopes: str, **options: object) -> Token:
        return self.Token()


class Get(Protocol):
    """Reads a secret with either client."""

    def __call__(self, url: str, timeout: float = LONG, retry: RetryPolicy = NO_RETRY) -> Awaitable[KeyVaultSecret]: ...


async def get(url: str, timeout: float = LONG, retry: RetryPolicy = NO_RETRY) -> KeyVaultSecret:  # noqa: ASYNC109 - the client's
    with SecretClient(url, Credential(), timeout=timeout, retry=retry) as client:
        return client.get_secret("db")


async def get_async(url: str, timeout: float = LONG, retry: RetryPolicy = NO_RETRY) -> KeyVaultSecret:  # noqa: ASYNC109 - the client's
    async with AsyncSecretClient(url, Credential(), timeout=timeout, retry=retry) as client:
        return await client.get_secret("db")


both = pytest.mark.parametrize("read", [get, get_async], ids=["threads", "asyncio"])


def tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def full_text(error: BaseException) -> str:
    """The text of an error, with its traceback and causes."""
    return "".join(traceback.format_exception(error)) + repr(error)
