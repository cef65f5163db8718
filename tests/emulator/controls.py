"""The control port: JSON commands that change vaults and login from outside; does not implement Key Vault's API."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from kvsecrets.testing import FakeVault, VaultRefused
from tests.emulator.faults import Selection
from tests.emulator.login import Registration
from tests.emulator.state import EmulatorState

Command = Callable[..., Any]

_OF_THE_VAULT = (
    FakeVault.set,
    FakeVault.value,
    FakeVault.enable,
    FakeVault.tag,
    FakeVault.disable,
    FakeVault.delete,
    FakeVault.recover,
    FakeVault.purge,
    FakeVault.fail,
    FakeVault.throttle,
    FakeVault.deny,
    FakeVault.allow,
    FakeVault.close_firewall,
    FakeVault.open_firewall,
    FakeVault.demand_claims,
    FakeVault.forget_calls,
)
"""Methods that are commands under their own names."""

_DATES = ("not_before", "expires_on", "created_on", "updated_on")


@dataclass(frozen=True, slots=True)
class Controls:
    """Carries out commands: `POST /{vault}/{command}` for a vault, `POST /{command}` for the emulator."""

    state: EmulatorState

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one command with `{"result": …}`, or with `{"error": …}` and status 400."""
        *where, command = request.path.strip("/").split("/")
        try:
            commands = self._commands_of_vault(where[0]) if where else self._commands_of_emulator()
            arguments = _with_dates(json.loads(await request.read() or b"{}"))
            result = commands[command](**arguments)
            if inspect.isawaitable(result):
                result = await result
        except (KeyError, TypeError, ValueError, VaultRefused) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response({"result": result})

    def _commands_of_vault(self, name: str) -> Mapping[str, Command]:
        served = self.state.vaults[name]
        vault, listener = served.vault, served.listener

        def latency(seconds: float) -> None:
            listener.latency = seconds

        def set_many(secrets: list[dict[str, Any]]) -> None:
            for secret in secrets:
                vault.set(**_with_dates(secret))

        def advance(seconds: float) -> None:
            served.clock.offset += timedelta(seconds=seconds)

        def batch(commands: list[tuple[str, dict[str, Any]]]) -> None:
            """Carry out several commands with no call of a client in between."""
            for command, arguments in commands:
                methods[command](**arguments)

        def lag(seconds: float, kind: str | None = None, every: int = 1) -> None:
            served.lag = (timedelta(seconds=seconds), Selection(kind, every)) if seconds else None

        methods: dict[str, Command] = {method.__name__: getattr(vault, method.__name__) for method in _OF_THE_VAULT}
        own: dict[str, Command] = {
            "advance": advance,
            "batch": batch,
            "break": listener.break_,
            "lag": lag,
            "latency": latency,
            "mend": listener.mend,
            "set_many": set_many,
            "calls": lambda: dict(vault.calls),
            "lists": lambda: served.lists,
            "open_door": listener.open,
            "close_door": listener.close,
        }
        return own | methods

    def _commands_of_emulator(self) -> Mapping[str, Command]:
        return {
            "add_vault": self.state.add_vault,
            "remove_vault": self.state.remove_vault,
            "advance": self._advance,
            "token_lifetime": self._token_lifetime,
            "revoke_tokens": self.state.tokens.revoke,
            "register": self._register,
            "break_login": self.state.login_listener.break_,
            "mend_login": self.state.login_listener.mend,
            "fail_login": self.state.login.fail,
            "logins": lambda: dict(self.state.login.counts),
        }

    def _advance(self, seconds: float) -> None:
        self.state.clock.offset += timedelta(seconds=seconds)

    def _token_lifetime(self, seconds: float) -> None:
        self.state.tokens.lifetime = timedelta(seconds=seconds)

    def _register(self, client_id: str, tenant_id: str, secret: str | None, subjects: list[str]) -> None:
        self.state.login.registrations[client_id] = Registration(tenant_id, secret, set(subjects))


def _with_dates(arguments: dict[str, Any]) -> dict[str, Any]:
    dates = {name: datetime.fromisoformat(arguments[name]) for name in _DATES if arguments.get(name)}
    return arguments | dates
