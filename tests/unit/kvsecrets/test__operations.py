"""Each operation's request and answer, stepped by hand: method, path, body, and what becomes of the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import _operations as ask
from kvsecrets._changes import CLEAR, Changes
from kvsecrets._flow import ANSWER_LIMIT, Flow, Send
from kvsecrets._operations import BACKUP_LIMIT, Vault
from kvsecrets._retry import RetryPolicy
from kvsecrets.errors import BadRequest, ConnectionFailed, ConnectionProblem, UnexpectedAnswer
from kvsecrets.models import SecretValue
from tests.unit.kvsecrets.stepping import (
    DELETED,
    PROPERTIES,
    SECRET,
    TOKEN,
    URL,
    VERSION,
    Talk,
    access,
    answer,
    asked,
    refusal,
    vault,
)

NEXT = f"{URL}:443/secrets?api-version=7.4&$skiptoken=abc"

OPERATIONS: dict[str, tuple[Callable[[Vault], Flow[Any]], str, str, object]] = {
    "get": (lambda vault: ask.get_secret(vault, "db", None), "GET", "secrets/db", SECRET),
    "get a version": (lambda vault: ask.get_secret(vault, "db", VERSION), "GET", f"secrets/db/{VERSION}", SECRET),
    "set": (lambda vault: ask.set_secret(vault, "db", "x", Changes()), "PUT", "secrets/db", SECRET),
    "update": (
        lambda vault: ask.update_secret_properties(vault, "db", None, Changes(enabled=True)),
        "PATCH",
        "secrets/db",
        PROPERTIES,
    ),
    "update a version": (
        lambda vault: ask.update_secret_properties(vault, "db", VERSION, Changes(enabled=True)),
        "PATCH",
        f"secrets/db/{VERSION}",
        PROPERTIES,
    ),
    "delete": (lambda vault: ask.delete_secret(vault, "db"), "DELETE", "secrets/db", DELETED),
    "get deleted": (lambda vault: ask.get_deleted_secret(vault, "db"), "GET", "deletedsecrets/db", DELETED),
    "recover": (lambda vault: ask.recover_deleted_secret(vault, "db"), "POST", "deletedsecrets/db/recover", PROPERTIES),
    "purge": (lambda vault: ask.purge_deleted_secret(vault, "db"), "DELETE", "deletedsecrets/db", None),
    "back up": (lambda vault: ask.backup_secret(vault, "db"), "POST", "secrets/db/backup", {"value": "blob"}),
    "restore": (lambda vault: ask.restore_secret_backup(vault, b"blob"), "POST", "secrets/restore", PROPERTIES),
}


@pytest.mark.parametrize(("flow", "method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_asks_at_its_address_and_reads_its_answer(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: object
) -> None:
    request, talk = asked(flow(vault()))
    talk.answer(answer(body))

    assert (request.method, request.url) == (method, f"{URL}/{path}?api-version=7.4")
    assert request.headers["authorization"] == "Bearer first-token"
    assert talk.result is not None or path == "deletedsecrets/db"


@pytest.mark.parametrize(("flow", "method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_raises_what_the_vault_refuses(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: object
) -> None:
    _, talk = asked(flow(vault()))

    with pytest.raises(BadRequest):
        talk.answer(refusal(400, "BadParameter"))


@pytest.mark.parametrize(("flow", "method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_is_repeated_after_a_broken_connection_unless_it_must_not_run_twice(
    flow: Callable[[Vault], Flow[Any]], method: str, path: str, body: object
) -> None:
    patient = vault()
    patient.access.retry = RetryPolicy(attempts=2)
    _, talk = asked(flow(patient))
    broken = ConnectionFailed("gone", ConnectionProblem.BROKEN)

    if path.endswith(("recover", "restore")):
        with pytest.raises(ConnectionFailed):
            talk.answer(broken)
    else:
        assert talk.answer(broken).answer(None).sends.url.startswith(f"{URL}/{path}")


@pytest.mark.parametrize("value", ["hunter2", SecretValue("hunter2")], ids=["a text", "a SecretValue"])
def test_a_value_goes_into_the_body(value: str | SecretValue) -> None:
    request, _ = asked(ask.set_secret(vault(), "db", value, Changes(tags={"a": "b"})))

    assert json.loads(request.body) == {"value": "hunter2", "tags": {"a": "b"}}
    assert request.headers["content-type"] == "application/json"


def test_a_value_of_any_script_is_written_so_that_it_arrives() -> None:
    text = 'p\u00e4ss \U0001f511 "\\\n'
    request, _ = asked(ask.set_secret(vault(), "db", text, Changes()))

    assert json.loads(request.body)["value"] == text


def test_a_refusal_that_repeats_the_value_does_not_show_it() -> None:
    _, talk = asked(ask.set_secret(vault(), "db", "hunter2", Changes()))

    with pytest.raises(BadRequest) as caught:
        talk.answer(refusal(400, "BadParameter", message="hunter2 is weak"))
    assert "hunter2" not in str(caught.value)


def test_an_update_sends_only_what_changes() -> None:
    request, _ = asked(ask.update_secret_properties(vault(), "db", None, Changes(expires_on=CLEAR)))

    assert json.loads(request.body) == {"attributes": {"exp": None}}


@pytest.mark.parametrize(
    "flow",
    [
        lambda: ask.get_secret(vault(), "a_b", None),
        lambda: ask.get_secret(vault(), "db", "latest"),
        lambda: ask.set_secret(vault(), "db", "x" * 25_601, Changes()),
        lambda: ask.set_secret(vault(), "../db", "x", Changes()),
        lambda: ask.set_secret(vault(), "db", "\ud800", Changes()),
        lambda: ask.list_page(vault(), ask.secrets_listing(), None, 26),
        lambda: ask.list_page(vault(), ask.secrets_listing(), "https://evil.example/secrets?a", None),
        lambda: ask.list_page(vault(), ask.deleted_listing(), f"{URL}/secrets?a", None),
    ],
    ids=[
        "a wrong name",
        "a wrong version",
        "a long value",
        "a path in a name",
        "half a character in a value",
        "a large page",
        "a continuation from elsewhere",
        "a continuation of another list",
    ],
)
def test_what_breaks_a_rule_is_refused_before_any_request(flow: Callable[[], Flow[Any]]) -> None:
    with pytest.raises(ValueError, match=r".+: .+"):
        Talk(flow())


def wrong(thing: object) -> Any:  # noqa: ANN401 - hides from the type checker what is of a wrong type
    return thing


@pytest.mark.parametrize(
    "flow",
    [
        lambda: ask.get_secret(vault(), wrong(None), None),
        lambda: ask.set_secret(vault(), "db", wrong({"a": 1}), Changes()),
        lambda: ask.update_secret_properties(vault(), "db", None, Changes(enabled=wrong("no"))),
        lambda: ask.restore_secret_backup(vault(), wrong("text")),
        lambda: ask.list_page(vault(), ask.secrets_listing(), wrong(5), None),
    ],
    ids=["no name", "a dictionary as value", "enabled as text", "a backup as text", "a continuation that is no text"],
)
def test_what_is_of_a_wrong_type_is_refused_before_any_request(flow: Callable[[], Flow[Any]]) -> None:
    with pytest.raises(TypeError):
        Talk(flow())


@given(st.binary(min_size=1))
def test_a_backup_is_sent_back_as_it_came(blob: bytes) -> None:
    sent, _ = asked(ask.restore_secret_backup(vault(), blob))
    text = json.loads(sent.body)["value"]
    _, talk = asked(ask.backup_secret(vault(), "db"))

    assert talk.answer(answer({"value": text})).result == blob
    assert "=" not in text


def test_a_backup_may_be_larger_than_other_answers() -> None:
    talk = Talk(ask.backup_secret(vault(), "db")).answer(TOKEN)
    other = Talk(ask.get_secret(vault(), "db", None)).answer(TOKEN)

    assert isinstance(talk.wants, Send)
    assert isinstance(other.wants, Send)
    assert (talk.wants.limit, other.wants.limit) == (BACKUP_LIMIT, ANSWER_LIMIT)


@pytest.mark.parametrize(
    ("listing", "path", "item"),
    [
        (ask.secrets_listing(), "secrets", PROPERTIES),
        (ask.versions_listing("db"), "secrets/db/versions", PROPERTIES),
        (ask.deleted_listing(), "deletedsecrets", DELETED),
    ],
    ids=["secrets", "versions", "deleted secrets"],
)
def test_a_list_begins_at_its_address_and_is_read_page_by_page(
    listing: ask.Listing[Any], path: str, item: object
) -> None:
    request, talk = asked(ask.list_page(vault(), listing, None, None))
    link = f"{URL}:443/{path}?api-version=7.4&$skiptoken=abc"
    page = talk.answer(answer({"value": [item], "nextLink": link}, x_ms_request_id="theirs")).result

    assert request.url == f"{URL}/{path}?api-version=7.4"
    assert [entry.name if hasattr(entry, "name") else entry for entry in page.items] == ["db"]
    assert (page.continuation_token, page.response.request_id) == (link, "theirs")


def test_a_page_size_is_asked_for_when_it_is_given() -> None:
    request, _ = asked(ask.list_page(vault(), ask.secrets_listing(), None, 5))

    assert request.url == f"{URL}/secrets?api-version=7.4&maxresults=5"


def test_a_continuation_is_asked_for_as_the_vault_wrote_it() -> None:
    request, talk = asked(ask.list_page(vault(), ask.secrets_listing(), NEXT, None))

    assert request.url == NEXT
    assert talk.answer(answer({"value": [], "nextLink": None})).result.continuation_token is None


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/secrets?$skiptoken=abc",
        "https://shop.vault.azure.net.evil.example/secrets",
        "https://shop.vault.azure.net@evil.example/secrets",
        "https://shop.vault.azure.net\\@evil.example/secrets",
        "https://shop.vault.azure.net:8443/secrets",
        "http://shop.vault.azure.net/secrets",
        "//evil.example/secrets",
        "/secrets",
        f"{URL}/secrets?a b",
        f"{URL}/deletedsecrets?a",
        f"{URL}/secretsof?a",
        NEXT,
    ],
)
def test_a_page_that_leads_elsewhere_or_round_in_circles_is_refused(link: str) -> None:
    _, talk = asked(ask.list_page(vault(), ask.secrets_listing(), NEXT, None))

    with pytest.raises(UnexpectedAnswer, match="does not lead on"):
        talk.answer(answer({"value": [], "nextLink": link}))


@pytest.mark.parametrize(
    ("vault_url", "link"),
    [
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443/secrets?x"),
        (URL, "https://SHOP.vault.azure.net:443/secrets?x"),
        (URL, f"{URL}/secrets?x"),
    ],
)
def test_links_within_the_list_are_recognized_with_and_without_port(vault_url: str, link: str) -> None:
    assert ask.listing_goes_on(Vault(vault_url, "7.4", access()), ask.secrets_listing(), link)


def test_a_vault_is_checked_when_a_client_is_made() -> None:
    made = Vault.at("https://Shop.vault.azure.net/", "2030-01-01", RetryPolicy(), verify_resource=True)

    assert (made.url, made.api_version, made.access.host) == (URL, "2030-01-01", "shop.vault.azure.net")
