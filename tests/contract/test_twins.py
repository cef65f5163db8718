"""The twins for threads and for asyncio have one face: the same operations, signatures, defaults and words."""

import inspect
import re
from collections.abc import Callable

import pytest

from kvsecrets import (
    AsyncDeleteSecretOperation,
    AsyncPaged,
    AsyncRecoverDeletedSecretOperation,
    AsyncSecretClient,
    DeleteSecretOperation,
    Paged,
    RecoverDeletedSecretOperation,
    SecretClient,
)
from kvsecrets._connections import AsyncConnections, Connections
from kvsecrets._drivers import AsyncDriver, Driver
from kvsecrets._logins import AsyncLogins, Logins

PUBLIC = [
    (SecretClient, AsyncSecretClient),
    (DeleteSecretOperation, AsyncDeleteSecretOperation),
    (RecoverDeletedSecretOperation, AsyncRecoverDeletedSecretOperation),
    (Paged, AsyncPaged),
]
PRIVATE = [(Driver, AsyncDriver), (Logins, AsyncLogins), (Connections, AsyncConnections)]
OTHER_NAMES = {"close": "aclose"}
"""Where Python's own habit gives the twin another name."""
LISTS = {name for name in vars(SecretClient) if name.startswith("list_")}
IMMEDIATE = LISTS | {"resume_delete_secret", "resume_recover_deleted_secret", "by_page"}
"""What asks the vault for nothing by itself, so that there is nothing to await."""

twins = pytest.mark.parametrize(("sync", "asynchronous"), PUBLIC, ids=lambda kind: kind.__name__)


def methods(kind: type) -> dict[str, Callable[..., object]]:
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def pairs(sync: type, asynchronous: type) -> list[tuple[str, Callable[..., object], Callable[..., object]]]:
    there = methods(asynchronous)
    return [(name, method, there[OTHER_NAMES.get(name, name)]) for name, method in methods(sync).items()]


def spoken(text: str) -> str:
    """Types and words as the twin for threads has them."""
    plain = re.sub(
        r"\bAsync(?=[A-Z])|\bAny(?=Credential\b)|\bSync(?=Credential\b)", "", text.replace("kvsecrets.aio", "")
    )
    plain = re.sub(r"(?<=\.)Async(?=[A-Z])", "", plain)
    return plain.replace("SupportsTokenInfo | TokenCredential | ", "")


@twins
def test_both_have_the_same_methods_and_properties(sync: type, asynchronous: type) -> None:
    def names(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert {OTHER_NAMES.get(name, name) for name in names(sync)} == names(asynchronous)


@twins
def test_both_take_the_same_arguments_with_the_same_defaults(sync: type, asynchronous: type) -> None:
    for name, here, there in pairs(sync, asynchronous):
        mine, theirs = inspect.signature(here).parameters, inspect.signature(there).parameters

        assert [(p.name, p.kind, p.default) for p in mine.values()] == [
            (p.name, p.kind, p.default) for p in theirs.values()
        ], name


@twins
def test_both_are_annotated_alike(sync: type, asynchronous: type) -> None:
    for name, here, there in pairs(sync, asynchronous):
        if name == "__init__":  # the credential and the HTTP client are of another kind, by intent
            continue
        mine, theirs = inspect.signature(here), inspect.signature(there)
        assert spoken(str(mine)) == spoken(str(theirs)).replace("AsyncIterator", "Iterator"), name


@twins
def test_both_say_the_same_words(sync: type, asynchronous: type) -> None:
    for name, here, there in pairs(sync, asynchronous):
        assert inspect.getdoc(here) == inspect.getdoc(there), name

    for name, member in inspect.getmembers(sync, lambda member: isinstance(member, property)):
        assert member.__doc__ == getattr(asynchronous, name).__doc__, name


@twins
def test_every_public_method_says_what_it_means(sync: type, asynchronous: type) -> None:
    silent = [name for name, method, _ in pairs(sync, asynchronous) if name != "__init__" and not method.__doc__]

    assert silent == []


@twins
def test_whatever_asks_the_vault_is_awaited_and_nothing_else_is(sync: type, asynchronous: type) -> None:
    awaited = {name for name, _, there in pairs(sync, asynchronous) if inspect.iscoroutinefunction(there)}

    assert awaited == methods(sync).keys() - IMMEDIATE - {"__init__"}


def test_both_clients_describe_their_arguments_alike() -> None:
    def arguments(kind: type) -> list[str]:
        text = (inspect.getdoc(kind) or "").partition("Args:")[2]
        return re.findall(r"^    (\w+):", text, flags=re.MULTILINE)

    assert arguments(SecretClient) == arguments(AsyncSecretClient)
    assert arguments(SecretClient) == list(inspect.signature(SecretClient).parameters)


@pytest.mark.parametrize(("sync", "asynchronous"), PRIVATE, ids=lambda kind: kind.__name__)
def test_what_runs_them_has_one_face_too(sync: type, asynchronous: type) -> None:
    extra = {"close"} if sync is Logins else set()  # a login of a thread cannot be ended from outside

    assert methods(sync).keys() | extra == methods(asynchronous).keys()
