"""`vaultsync refresh NAME`: has every secret of a VaultSecret read again now, and waits until that has happened."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from vaultsync.adapters.kube.reader import VAULTSECRETS
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.cli.output import Cell, Style
from vaultsync.cli.session import FAILED, Session
from vaultsync.status.conditions import READY, condition

_PERIOD: Final = 1.0
"""Seconds between two looks at the status."""


def request_text(now: datetime) -> str:
    """Return the text of the annotation: another one for each request."""
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def refresh(session: Session) -> int:
    """Request a refresh, and wait until it is done, up to a time limit; return the exit code."""
    key = ObjectKey(session.options.namespace or session.cluster.namespace, session.options.name)
    text = request_text(session.now())
    written = await session.cluster.request_refresh(key, text)
    if written is None:
        session.output.line(Cell(f"There is no VaultSecret {key}.", Style.BAD))
        return FAILED
    if (written.get("spec") or {}).get("suspend") is True:
        advice = "It is suspended: nothing is read until spec.suspend is false."
        session.output.line(Cell(f"A refresh of {key} is requested. {advice}", Style.WARNING))
        return FAILED
    if session.options.timeout == 0:
        session.output.line(Cell(f"A refresh of {key} is requested."))
        return 0
    return await _wait(session, key, text)


async def _wait(session: Session, key: ObjectKey, text: str) -> int:
    body: Mapping[str, Any] | None = None
    try:
        async with asyncio.timeout(session.options.timeout):
            while body is None or VaultSecretMeta.parse(body).status.last_handled_refresh != text:
                if body is not None:
                    await asyncio.sleep(_PERIOD)
                body = await session.cluster.get(VAULTSECRETS, *key)
                if body is None:
                    session.output.line(Cell(f"VaultSecret {key} was deleted.", Style.BAD))
                    return FAILED
    except TimeoutError:
        line = (
            f"{key} was not refreshed within {session.options.timeout} seconds; vaultsync doctor {key.name} says why."
        )
        session.output.line(Cell(line, Style.BAD))
    if body is None:
        return FAILED
    status = VaultSecretMeta.parse(body).status
    ready = condition(status, READY)
    is_ready = ready is not None and ready.status == "True" and status.last_handled_refresh == text
    if ready is not None:
        session.output.line(Cell(f"{key}: {ready.reason}: {ready.message}", Style.GOOD if is_ready else Style.BAD))
    return 0 if is_ready else FAILED
