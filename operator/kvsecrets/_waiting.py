"""Long-running operations as flows: has it come to an end, and waiting until it has.

Key Vault deletes and recovers in the background: for some seconds the secret is in neither place, and answers 404.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kvsecrets import _limits
from kvsecrets._flow import Flow, now, pause
from kvsecrets._operations import Vault, get_deleted_secret, get_secret
from kvsecrets.errors import ResponseError, SecretNotFound
from kvsecrets.models import DeletedSecret, SecretId, SecretProperties

FORBIDDEN = 403
DELETED = "deletedsecrets"
LIVE = "secrets"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Progress(Generic[T_co]):
    """How far a long-running operation is, and its result as far as the vault shows it."""

    done: bool
    value: T_co | None = None


def deletion_progress(vault: Vault, name: str) -> Flow[Progress[DeletedSecret]]:
    """Look whether a secret is among the deleted ones yet.

    Who may delete but not read deleted secrets is told 404 while it lasts and 403 when it is over.
    """
    try:
        deleted = yield from get_deleted_secret(vault, name)
    except SecretNotFound:
        return Progress(done=False)
    except ResponseError as error:
        if error.status != FORBIDDEN:
            raise
        return Progress(done=True)
    return Progress(done=True, value=deleted)


def recovery_progress(vault: Vault, name: str) -> Flow[Progress[SecretProperties]]:
    """Look whether a secret can be read again; a disabled one, or one that we may not read, answers 403 when it can."""
    try:
        secret = yield from get_secret(vault, name, None)
    except SecretNotFound:
        return Progress(done=False)
    except ResponseError as error:
        if error.status != FORBIDDEN:
            raise
        return Progress(done=True)
    return Progress(done=True, value=secret.properties)


def wait_for_completion(
    look: Callable[[], Flow[Progress[T]]], interval: float, timeout: float | None
) -> Flow[Progress[T]]:
    """Look again and again until an operation is done.

    Raises:
        TimeoutError: It is not, after `timeout` seconds.
    """
    start = yield from now()
    while not (progress := (yield from look())).done:
        if timeout is not None and (yield from now()) - start + interval > timeout:
            raise TimeoutError(f"the vault has not completed the operation within {timeout:g} s")
        yield from pause(interval, interval)
    return progress


def deletion_id(vault: Vault, deleted: DeletedSecret) -> str:
    """Return the id by which a deletion can be taken up again; it begins with the URL that the client has."""
    return f"{vault.url}/{DELETED if deleted.recovery_id else LIVE}/{deleted.name}"


def recovery_id(vault: Vault, properties: SecretProperties) -> str:
    """Return the id by which a recovery can be taken up again; it begins with the URL that the client has."""
    return f"{vault.url}/{LIVE}/{properties.name}"


def resumed_deletion(vault: Vault, operation_id: str) -> tuple[str, Progress[DeletedSecret]]:
    """Return the secret's name in the id of a deletion, and how far that is known to be.

    On a vault without soft-delete the deletion was final when it was made: nothing is left to wait for.

    Raises:
        ValueError: It is not a deletion on this vault.
    """
    folder, name = _parts(vault, operation_id, DELETED, LIVE)
    if folder == DELETED:
        return name, Progress(done=False)
    return name, Progress(done=True, value=DeletedSecret(properties=SecretProperties(id=SecretId(vault.url, name))))


def resumed_recovery(vault: Vault, operation_id: str) -> str:
    """Return the secret's name in the id of a recovery.

    Raises:
        ValueError: It is not a recovery on this vault.
    """
    return _parts(vault, operation_id, LIVE)[1]


def _parts(vault: Vault, operation_id: str, *folders: str) -> tuple[str, str]:
    _limits.kind("operation id", operation_id, str)
    folder, _, rest = operation_id.removeprefix(f"{vault.url}/").partition("/")
    if not operation_id.startswith(f"{vault.url}/") or folder not in folders:
        raise ValueError(f"operation id {operation_id!r}: it must begin with {vault.url}/{folders[0]}/")
    return folder, _limits.name(rest.partition("/")[0])
