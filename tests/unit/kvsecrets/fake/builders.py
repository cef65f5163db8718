"""What the tests of the fake vault are built from: a clock that stands still, ids in order, a caller on the wire."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kvsecrets._fake.profile import Profile
from kvsecrets._wire import Request, Response
from kvsecrets.testing import FakeVault

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STAMP = int(START.timestamp())


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


def versions_in_order() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):032x}"


def profile(url: str = "https://fake.vault.azure.net", **changes: Any) -> Profile:  # noqa: ANN401 - see `Profile.of`
    usual: dict[str, Any] = {
        "resource": None,
        "authority": "https://login.microsoftonline.com",
        "tenant_id": "tenant",
        "soft_delete": True,
        "recoverable_days": 90,
        "purge_protection": False,
        "deletion_delay": timedelta(0),
        "rbac": False,
    }
    return Profile.of(url, **(usual | changes))


@dataclass
class Wire:
    """Speaks to a vault as a client does: with a token and an API version."""

    vault: FakeVault
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer token"})

    def __call__(self, method: str, path: str, body: object = None, *, api_version: str = "7.4") -> Response:
        url = path if path.startswith("https://") else f"{self.vault.url}{path}"
        if "api-version" not in url:
            url += f"{'&' if '?' in url else '?'}api-version={api_version}"
        sent = b"" if body is None else json.dumps(body).encode()
        return self.vault.respond(Request(method, url, self.headers, sent))


def document(response: Response) -> Any:  # noqa: ANN401 - JSON has any shape, and the tests say which
    return json.loads(response.body)


def error(response: Response) -> tuple[int, str, str | None]:
    """The three words that clients classify by."""
    told = document(response)["error"]
    return response.status, told["code"], told.get("innererror", {}).get("code")


def names(page: Response) -> list[str]:
    return [item["id"].rpartition("/")[2] for item in document(page)["value"]]


def all_pages(wire: Wire, path: str) -> list[Response]:
    pages = [wire("GET", path)]
    while link := document(pages[-1])["nextLink"]:
        pages.append(wire("GET", link))
    return pages
