"""The control port: JSON commands that change the world behind the clients' backs; speaks no Key Vault."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from kvsecrets.testing import FakeVault, VaultRefused
from tests.emulator.login import Registration
from tests.emulator.world import World

Command = Callable[..., Any]

_OF_THE_VAULT = (
    FakeVault.set,
    FakeVault.value,
    FakeVault.enable,
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
"""Methods that are commands as they are, by their own names."""

_DATES = ("not_before", "expires_on", "created_on", "updated_on")


@dataclass(frozen=True, slots=True)
class Controls:
    """Carries commands out: `POST /{vault}/{command}` for a vault's, `POST /{command}` for the world's."""

    world: World

    async def answer(self, asked: web.BaseRequest) -> web.StreamResponse:
        """Answer one command with `{"result": …}`, or with `{"error": …}` and status 400."""
        *where, command = asked.path.strip("/").split("/")
        try:
            commands = self._commands_of_vault(where[0]) if where else self._commands_of_world()
            arguments = _with_dates(json.loads(await asked.read() or b"{}"))
            result = commands[command](**arguments)
            if inspect.isawaitable(result):
                result = await result
        except (KeyError, TypeError, ValueError, VaultRefused) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response({"result": result})

    def _commands_of_vault(self, name: str) -> Mapping[str, Command]:
        served = self.world.vaults[name]
        vault, door = served.vault, served.door

        def latency(seconds: float) -> None:
            door.latency = seconds

        def set_many(secrets: list[dict[str, Any]]) -> None:
            for secret in secrets:
                vault.set(**_with_dates(secret))

        def advance(seconds: float) -> None:
            served.clock.offset += timedelta(seconds=seconds)

        own: dict[str, Command] = {
            "advance": advance,
            "latency": latency,
            "set_many": set_many,
            "calls": lambda: dict(vault.calls),
            "open_door": door.open,
            "close_door": door.close,
        }
        return own | {method.__name__: getattr(vault, method.__name__) for method in _OF_THE_VAULT}

    def _commands_of_world(self) -> Mapping[str, Command]:
        return {
            "add_vault": self.world.add_vault,
            "remove_vault": self.world.remove_vault,
            "advance": self._advance,
            "token_lifetime": self._token_lifetime,
            "register": self._register,
            "fail_login": self.world.login.fail,
            "logins": lambda: dict(self.world.login.counts),
        }

    def _advance(self, seconds: float) -> None:
        self.world.clock.offset += timedelta(seconds=seconds)

    def _token_lifetime(self, seconds: float) -> None:
        self.world.tokens.lifetime = timedelta(seconds=seconds)

    def _register(self, client_id: str, tenant_id: str, secret: str | None, subjects: list[str]) -> None:
        self.world.login.registrations[client_id] = Registration(tenant_id, secret, set(subjects))


def _with_dates(arguments: dict[str, Any]) -> dict[str, Any]:
    dates = {name: datetime.fromisoformat(arguments[name]) for name in _DATES if arguments.get(name)}
    return arguments | dates
