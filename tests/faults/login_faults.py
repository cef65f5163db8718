"""The faults of the login: it breaks, or tokens end, for every vault and operator of an emulator."""

import json
from collections.abc import Callable
from typing import Final

from tests.faults.fault import Fault
from tests.faults.harness import World


def _fault(name: str, on: Callable[[World], None]) -> Fault:
    """Break something of the login, and end all tokens, so that it is needed."""

    def break_(world: World) -> None:
        on(world)
        world.emulator.revoke_tokens()

    return Fault(name, "login", break_, lambda world: world.emulator.mend_login())


def _broken(name: str, way: str, **options: object) -> Fault:
    return _fault(name, lambda world: world.emulator.break_login(way, **options))


def _refusal(error: str) -> str:
    return json.dumps({"error": error, "error_description": "AADSTS90033: A transient error has occurred."})


FAULTS: Final = (
    _fault("tokens revoked", lambda _: None),
    Fault("tokens expired", "login", lambda world: world.emulator.advance(7200), lambda _: None),
    _broken("login refused", "refused"),
    _broken("login black hole", "hole"),
    _broken("login 401", "reply", status=401, body=_refusal("invalid_client")),
    _broken("login 429", "reply", status=429, body=_refusal("temporarily_unavailable"), headers={"Retry-After": "2"}),
    _broken("login 500", "reply", status=500, body=_refusal("server_error")),
    _broken("login garbage", "garbage"),
)
