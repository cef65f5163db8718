"""Helpers of the tests of the fake vault: a clock that is set, ids in order, and requests with a token."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kvsecrets._fake.config import VaultConfig
from kvsecrets._protocol import Request, Response
from kvsecrets.testing import FakeVault

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STAMP = int(START.timestamp())


@dataclass
class Clock:
    """A clock that only `advance` moves."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


def versions_in_order() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):032x}"


def config(url: str = "https://fake.vault.azure.net", **changes: Any) -> VaultConfig:  # noqa: ANN401 - see `VaultConfig.create`
    defaults: dict[str, Any] = {
        "resource": None,
        "authority": "https://login.microsoftonline.com",
        "tenant_id": "tenant",
        "soft_delete": True,
        "recoverable_days": 90,
        "purge_protection": False,
        "deletion_delay": timedelta(0),
        "rbac": False,
    }
    return VaultConfig.create(url, **(defaults | changes))


@dataclass
class RawClient:
    """Sends requests to a vault as a client does, with a token and an API version."""

    vault: FakeVault
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer token"})

    def __call__(self, method: str, path: str, body: object = None, *, api_version: str = "7.4") -> Response:
        url = path if path.startswith("https://") else f"{self.vault.url}{path}"
        if "api-version" not in url:
            url += f"{'&' if '?' in url else '?'}api-version={api_version}"
        content = b"" if body is None else json.dumps(body).encode()
        return self.vault.respond(Request(method, url, self.headers, content))


def document(response: Response) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(response.body)


def error(response: Response) -> tuple[int, str, str | None]:
    """Status, code and inner code, which clients classify errors by."""
    fields = document(response)["error"]
    return response.status, fields["code"], fields.get("innererror", {}).get("code")


def names(page: Response) -> list[str]:
    return [item["id"].rpartition("/")[2] for item in document(page)["value"]]


def all_pages(call: RawClient, path: str) -> list[Response]:
    pages = [call("GET", path)]
    while link := document(pages[-1])["nextLink"]:
        pages.append(call("GET", link))
    return pages
