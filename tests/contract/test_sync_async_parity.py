"""The classes for threads and for asyncio have the same methods, signatures, defaults and docstrings."""

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
from kvsecrets._drivers import AsyncDriver, Driver
from kvsecrets._tokens import AsyncTokenProvider, TokenProvider

PUBLIC = [
    (SecretClient, AsyncSecretClient),
    (DeleteSecretOperation, AsyncDeleteSecretOperation),
    (RecoverDeletedSecretOperation, AsyncRecoverDeletedSecretOperation),
    (Paged, AsyncPaged),
]
PRIVATE = [(Driver, AsyncDriver), (TokenProvider, AsyncTokenProvider)]
OTHER_NAMES = {"close": "aclose"}
"""Methods that have another name for asyncio by Python's convention."""
LISTS = {name for name in vars(SecretClient) if name.startswith("list_")}
NOT_AWAITED = LISTS | {"resume_delete_secret", "resume_recover_deleted_secret", "by_page"}
"""Methods that send no request themselves."""

both = pytest.mark.parametrize(("sync", "asynchronous"), PUBLIC, ids=lambda kind: kind.__name__)


def methods(kind: type) -> dict[str, Callable[..., object]]:
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def pairs(sync: type, asynchronous: type) -> list[tuple[str, Callable[..., object], Callable[..., object]]]:
    async_methods = methods(asynchronous)
    return [(name, method, async_methods[OTHER_NAMES.get(name, name)]) for name, method in methods(sync).items()]


def as_sync(signature: str) -> str:
    """A signature with the types of the form for threads."""
    plain = re.sub(
        r"\bAsync(?=[A-Z])|\bAny(?=Credential\b)|\bSync(?=Credential\b)", "", signature.replace("kvsecrets.aio", "")
    )
    plain = re.sub(r"(?<=\.)Async(?=[A-Z])", "", plain)
    return plain.replace("SupportsTokenInfo | TokenCredential | ", "")


@both
def test_both_have_the_same_methods_and_properties(sync: type, asynchronous: type) -> None:
    def names(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert {OTHER_NAMES.get(name, name) for name in names(sync)} == names(asynchronous)


@both
def test_both_have_the_same_arguments_and_defaults(sync: type, asynchronous: type) -> None:
    for name, method, async_method in pairs(sync, asynchronous):
        parameters, async_parameters = inspect.signature(method).parameters, inspect.signature(async_method).parameters

        assert [(p.name, p.kind, p.default) for p in parameters.values()] == [
            (p.name, p.kind, p.default) for p in async_parameters.values()
        ], name


@both
def test_both_have_the_same_annotations(sync: type, asynchronous: type) -> None:
    for name, method, async_method in pairs(sync, asynchronous):
        if name == "__init__":  # credential and HTTP client differ on purpose
            continue
        signature, async_signature = str(inspect.signature(method)), str(inspect.signature(async_method))
        assert as_sync(signature) == as_sync(async_signature).replace("AsyncIterator", "Iterator"), name


@both
def test_both_have_the_same_docstrings(sync: type, asynchronous: type) -> None:
    for name, method, async_method in pairs(sync, asynchronous):
        assert inspect.getdoc(method) == inspect.getdoc(async_method), name

    for name, member in inspect.getmembers(sync, lambda member: isinstance(member, property)):
        assert member.__doc__ == getattr(asynchronous, name).__doc__, name


@both
def test_every_public_method_has_a_docstring(sync: type, asynchronous: type) -> None:
    without = [name for name, method, _ in pairs(sync, asynchronous) if name != "__init__" and not method.__doc__]

    assert without == []


@both
def test_exactly_the_methods_that_send_requests_are_coroutines(sync: type, asynchronous: type) -> None:
    coroutines = {name for name, _, method in pairs(sync, asynchronous) if inspect.iscoroutinefunction(method)}

    assert coroutines == methods(sync).keys() - NOT_AWAITED - {"__init__"}


def test_both_clients_document_the_same_arguments() -> None:
    def documented(kind: type) -> list[str]:
        text = (inspect.getdoc(kind) or "").partition("Args:")[2].partition("Raises:")[0]
        return re.findall(r"^    (\w+):", text, flags=re.MULTILINE)

    assert documented(SecretClient) == documented(AsyncSecretClient)
    assert documented(SecretClient) == list(inspect.signature(SecretClient).parameters)


OPERATIONS = sorted(name for name in methods(SecretClient) if name not in {"__init__", "close"})


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_documents_what_it_returns_and_the_vendors_page(name: str) -> None:
    text = inspect.getdoc(getattr(SecretClient, name)) or ""

    assert "Returns:" in text
    assert ("https://learn.microsoft.com/rest/api/keyvault/secrets/" in text) != name.startswith("resume_")


@pytest.mark.parametrize(("sync", "asynchronous"), PRIVATE, ids=lambda kind: kind.__name__)
def test_private_classes_have_the_same_methods(sync: type, asynchronous: type) -> None:
    extra = {"close"} if sync is TokenProvider else set()  # a login in a thread cannot be cancelled

    assert methods(sync).keys() | extra == methods(asynchronous).keys()
