"""The state of one emulator process: vaults, the login endpoint, their clocks and listeners."""

import ssl
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, Unpack
from urllib.parse import urlsplit

import trustme

from kvsecrets._fake.store import Rows
from kvsecrets._protocol import Request, Response
from kvsecrets.testing import FakeVault
from tests.emulator.faults import LISTS, Selection
from tests.emulator.listener import Listener
from tests.emulator.login import LoginEndpoint, Registration
from tests.emulator.options import VaultOptions, arguments_of
from tests.emulator.tokens import Tokens

TENANT_ID = "7e0a1a52-0000-4000-8000-000000000001"
CLIENT_ID = "c11e0000-0000-4000-8000-000000000001"
CLIENT_SECRET = "emulated-client-secret"
RESOURCE = "https://localhost"
"""What tokens are for. It is the vaults' own host, so that a client's check of the challenge passes."""


@dataclass(slots=True)
class Clock:
    """The machine's time in UTC, plus an offset."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.offset


@dataclass(slots=True)
class ServedVault:
    """A vault, its own clock and the port that serves it."""

    vault: FakeVault
    clock: Clock
    listener: Listener
    lists: list[float] = field(default_factory=list)
    """When a listing began, in seconds of the monotonic clock, which all processes of a machine share."""

    lag: tuple[timedelta, Selection] | None = None
    """How far the replica lags that answers some requests, and which."""

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        path = urlsplit(request.url).path
        if path == LISTS:
            self.lists.append(time.monotonic())
        if self.lag is None or not self.lag[1].takes(path):
            return self.vault.respond(request)
        store = self.vault._store
        present = store.rows
        store.rows = _rows_at(present, self.clock() - self.lag[0])
        try:
            return self.vault.respond(request)
        finally:
            store.rows = present


class EmulatorState:
    """The parts of the emulator; they listen inside of `async with`."""

    def __init__(self, ca_file: Path, *, login_port: int = 0) -> None:
        """Make a certificate authority, write its certificate to the given file, and take the login's port."""
        self.ca_file = ca_file
        self.clock = Clock()
        """The clock by which tokens are issued and expire."""

        self.tokens = Tokens(self.clock)
        self.vaults: dict[str, ServedVault] = {}
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(ca_file))
        self._tls = {"tls": _tls(authority), "strangers_tls": _tls(trustme.CA())}
        self.login_listener = Listener(**self._tls, port=login_port)
        self.login = LoginEndpoint(self.login_listener.url, self.tokens)
        self.login.registrations[CLIENT_ID] = Registration(TENANT_ID, CLIENT_SECRET)
        self.login_listener.serve(self.login.respond)

    async def add_vault(self, name: str, *, port: int = 0, **options: Unpack[VaultOptions]) -> str:
        """Create a vault, serve it, and return its URL."""
        listener = Listener(**self._tls, port=port)
        clock = Clock()
        vault = FakeVault(
            listener.url,
            clock=clock,
            tenant_id=TENANT_ID,
            authority=self.login.url,
            check_token=self.tokens.check_for(tenant_id=TENANT_ID, resource=RESOURCE),
            **arguments_of(options),
        )
        self.vaults[name] = served = ServedVault(vault, clock, listener)
        listener.serve(served.respond)
        await listener.open()
        return vault.url

    async def remove_vault(self, name: str) -> None:
        """Stop serving a vault, and forget its secrets."""
        await self.vaults.pop(name).listener.release()

    async def __aenter__(self) -> Self:
        """Serve the login."""
        await self.login_listener.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        for listener in [self.login_listener, *(served.listener for served in self.vaults.values())]:
            await listener.release()


def _rows_at(rows: Rows, moment: datetime) -> Rows:
    """The secrets as they were at a moment; what was deleted since is missing."""
    then = Rows()
    for _, secret, is_newest in rows._from(""):
        known = {name: one for name, one in secret.versions.items() if one.created <= moment.timestamp()}
        if is_newest and known:
            then.add(replace(secret, versions=known))
    return then


def _tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context
