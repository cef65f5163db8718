"""The faults of one vault: of its network, its answers, its permissions and its replicas."""

import json
import math
import time
from collections.abc import Callable
from typing import Final

from tests.faults.checker import LAG_SECONDS
from tests.faults.fault import Fault
from tests.faults.harness import World

_SLOW_SECONDS: Final = 30.0
_SKEW_SECONDS: Final = 2700.0
"""Nobody can tell from such a date that it is wrong: the clocks of two machines may differ by so much."""


def _error(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": f"{code}."}})


def _fault(name: str, on: Callable[[World], None], off: Callable[[World], None]) -> Fault:
    return Fault(name, "vault", on, off)


def _broken(name: str, way: str, **options: object) -> Fault:
    return _fault(name, lambda world: world.vault.break_(way, **options), lambda world: world.vault.mend())


def _reply(name: str, status: int, body: str, **options: object) -> Fault:
    return _broken(name, "reply", status=status, body=body, **options)


def _denied(*permissions: str) -> Fault:
    def on(world: World) -> None:
        for permission in permissions:
            world.vault.deny(permission)

    def off(world: World) -> None:
        for permission in permissions:
            world.vault.allow(permission)

    return _fault(f"403 for {' and '.join(permissions)}", on, off)


def _unauthorized(world: World) -> None:
    """Reject each token, with the vault's true challenge."""
    emulator = world.emulator
    login = f"{emulator.login_url}/{emulator.tenant_id}"
    headers = {"WWW-Authenticate": f'Bearer authorization="{login}", resource="https://localhost"'}
    world.vault.break_("reply", status=401, headers=headers, body=_error("Unauthorized"))


def _lagging(name: str, *, kind: str | None = None, every: int = 1) -> Fault:
    def on(world: World) -> None:
        world.model.lagged_until = math.inf
        world.vault.lag(LAG_SECONDS, kind=kind, every=every)

    def off(world: World) -> None:
        world.vault.lag(0)
        world.model.lagged_until = time.monotonic()

    return _fault(name, on, off)


LAGS: Final = (
    _lagging("stale"),
    _lagging("stale now and then", every=2),
    _lagging("stale list", kind="list"),
    _lagging("stale get", kind="get"),
)
"""Replicas that are behind: what was seen already is gone again."""

DATE_AHEAD: Final = _broken("Date ahead", "skewed", seconds=_SKEW_SECONDS)

FAULTS: Final = (
    _broken("refused", "refused"),
    _broken("black hole", "hole"),
    _broken("no TLS handshake", "deaf"),
    _fault("slow", lambda world: world.vault.latency(_SLOW_SECONDS), lambda world: world.vault.latency(0)),
    _broken("drip", "drip"),
    _reply("429", 429, _error("Throttled")),
    _reply("429 with Retry-After", 429, _error("Throttled"), headers={"Retry-After": "5"}),
    _reply("500", 500, _error("InternalServerError")),
    _reply("503", 503, _error("ServiceUnavailable")),
    _reply("503 now and then", 503, _error("ServiceUnavailable"), every=2),
    _broken("truncated", "truncated"),
    _broken("reset", "reset"),
    _broken("garbage", "garbage"),
    _reply("wrong JSON", 200, '{"value": 5, "id": []}'),
    _reply("HTML 404", 404, "<html><body>Not Found</body></html>", headers={"Content-Type": "text/html"}),
    _broken("wrong certificate", "stranger"),
    _fault("401", _unauthorized, lambda world: world.vault.mend()),
    _denied("get", "list"),
    _denied("get"),
    _denied("list"),
    _fault("firewall", lambda world: world.vault.close_firewall(), lambda world: world.vault.open_firewall()),
    _reply("404", 404, _error("SecretNotFound")),
    _reply("404 for get now and then", 404, _error("SecretNotFound"), kind="get", every=2),
    _reply("empty list", 200, '{"value": [], "nextLink": null}', kind="list"),
    _broken("list that skips", "relisted", kind="list", change="skip"),
    _broken("list that repeats", "relisted", kind="list", change="repeat"),
    DATE_AHEAD,
    _broken("Date ahead once", "skewed", seconds=_SKEW_SECONDS, calls=1),
    _broken("Date behind", "skewed", seconds=-_SKEW_SECONDS),
    *LAGS,
)
