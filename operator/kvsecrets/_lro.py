"""Long-running operations as flows: whether one has completed, polling until it has, and the ids to resume it by.

Key Vault deletes and recovers asynchronously: for some seconds the secret is in neither collection, and reads return
404. https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kvsecrets import _validation
from kvsecrets._protocol import Flow, now, pause
from kvsecrets._requests import Vault, get_deleted_secret, get_secret
from kvsecrets.errors import AccessDenied, SecretDisabled, SecretNotFound
from kvsecrets.models import DeletedSecret, SecretId, SecretProperties

DELETED = "deletedsecrets"
LIVE = "secrets"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Progress(Generic[T_co]):
    """Whether a long-running operation has completed, and its result if the vault has returned one."""

    done: bool
    value: T_co | None = None


def poll_deletion(vault: Vault, name: str) -> Flow[Progress[DeletedSecret]]:
    """Check once whether a deletion has completed: then the secret is among the deleted ones.

    A caller who may delete but not read deleted secrets gets 404 until completion, and 403 afterwards.
    """
    return _poll_once(get_deleted_secret(vault, name))


def poll_recovery(vault: Vault, name: str) -> Flow[Progress[SecretProperties]]:
    """Check once whether a recovery has completed: then the secret can be read.

    A disabled secret, or one that the caller may not read, returns 403 after completion.
    """
    progress = yield from _poll_once(get_secret(vault, name, None))
    return Progress(progress.done, None if progress.value is None else progress.value.properties)


def _poll_once(read: Flow[T]) -> Flow[Progress[T]]:
    """Read what exists once the operation has completed; whoever may not read it gets 404 until then.

    The 403 of a firewall says nothing about the secret.
    """
    try:
        value = yield from read
    except SecretNotFound:
        return Progress(done=False)
    except (AccessDenied, SecretDisabled):
        return Progress(done=True)
    return Progress(done=True, value=value)


def poll_until_done(poll: Callable[[], Flow[Progress[T]]], interval: float, timeout: float | None) -> Flow[Progress[T]]:
    """Poll an operation every `interval` seconds until it has completed, for the last time at `timeout`.

    Raises:
        TimeoutError: It has not completed after `timeout` seconds.
        ValueError: Either is negative.
        TypeError: Either is not a number.
    """
    _validation.not_negative("poll_interval", interval)
    if timeout is not None:
        _validation.not_negative("timeout", timeout)
    start = yield from now()
    while not (progress := (yield from poll())).done:
        seconds = interval
        if timeout is not None:
            remaining = timeout - ((yield from now()) - start)
            if remaining <= 0:
                raise TimeoutError(f"the vault has not completed the operation within {timeout:g} s")
            seconds = min(interval, remaining)
        yield from pause(seconds, seconds)
    return progress


def deletion_id(vault: Vault, deleted: DeletedSecret) -> str:
    """Return the id by which a deletion can be resumed; it begins with the vault URL of the client."""
    return f"{vault.url}/{DELETED if deleted.recovery_id else LIVE}/{deleted.name}"


def recovery_id(vault: Vault, properties: SecretProperties) -> str:
    """Return the id by which a recovery can be resumed; it begins with the vault URL of the client."""
    return f"{vault.url}/{LIVE}/{properties.name}"


def resume_deletion(vault: Vault, operation_id: str) -> tuple[str, Progress[DeletedSecret]]:
    """Return the secret's name and the known progress of a deletion.

    On a vault without soft-delete the deletion was final at once, so it is complete.

    Raises:
        ValueError: It is not the id of a deletion in this vault.
    """
    collection, name = _parse(vault, operation_id, DELETED, LIVE)
    if collection == DELETED:
        return name, Progress(done=False)
    return name, Progress(done=True, value=DeletedSecret(properties=SecretProperties(id=SecretId(vault.url, name))))


def resume_recovery(vault: Vault, operation_id: str) -> str:
    """Return the secret's name of a recovery.

    Raises:
        ValueError: It is not the id of a recovery in this vault.
    """
    return _parse(vault, operation_id, LIVE)[1]


def _parse(vault: Vault, operation_id: str, *collections: str) -> tuple[str, str]:
    _validation.check_type("operation id", operation_id, str)
    collection, _, rest = operation_id.removeprefix(f"{vault.url}/").partition("/")
    if not operation_id.startswith(f"{vault.url}/") or collection not in collections:
        raise ValueError(f"operation id {operation_id!r}: must begin with {vault.url}/{collections[0]}/")
    return collection, _validation.secret_name(rest.partition("/")[0])
