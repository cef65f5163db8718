"""The operations of a client as a table; the clients for threads and for asyncio are tested with each line of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kvsecrets import CLEAR
from kvsecrets.testing import FakeVault

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
Client = Any
"""Either client; the test awaits, iterates or waits for the result of a call, as that client requires."""


@dataclass(frozen=True)
class Scenario:
    """A vault before a call, the call, and the check of its result."""

    arrange: Callable[[FakeVault], object]
    call: Callable[[Client], Any]
    check: Callable[[Any, FakeVault], bool]


def two_versions(vault: FakeVault) -> None:
    vault.set("db", "old")
    vault.set("db", "new", content_type="text/plain", tags={"a": "b"}, expires_on=NEW_YEAR)


def deleted(vault: FakeVault) -> None:
    two_versions(vault)
    vault.delete("db")


SCENARIOS = {
    "get reads the newest version": Scenario(
        two_versions, lambda client: client.get_secret("db"), lambda secret, _: secret.value.reveal() == "new"
    ),
    "set adds a version to an existing name": Scenario(
        two_versions,
        lambda client: client.set_secret("db", "newest", tags={"x": "y"}, enabled=True),
        lambda secret, vault: vault.value("db") == "newest" and secret.properties.tags == {"x": "y"},
    ),
    "set inherits nothing from the previous version": Scenario(
        two_versions,
        lambda client: client.set_secret("db", "newest"),
        lambda secret, _: secret.properties.expires_on is None and secret.properties.content_type is None,
    ),
    "set writes every property": Scenario(
        lambda _: None,
        lambda client: client.set_secret(
            "db", "x", content_type="text/plain", enabled=False, not_before=NEW_YEAR, expires_on=NEW_YEAR
        ),
        lambda secret, _: (
            (secret.properties.content_type, secret.properties.enabled) == ("text/plain", False)
            and (secret.properties.not_before, secret.properties.expires_on) == (NEW_YEAR, NEW_YEAR)
        ),
    ),
    "update changes the given fields only": Scenario(
        two_versions,
        lambda client: client.update_secret_properties("db", content_type="text/html"),
        lambda properties, vault: (
            (properties.content_type, properties.tags, properties.expires_on) == ("text/html", {"a": "b"}, NEW_YEAR)
            and vault.value("db") == "new"
        ),
    ),
    "update empties fields with CLEAR": Scenario(
        two_versions,
        lambda client: client.update_secret_properties("db", content_type=CLEAR, tags=CLEAR, expires_on=CLEAR),
        lambda properties, _: (properties.content_type, properties.tags, properties.expires_on) == (None, {}, None),
    ),
    "list returns all secrets without values": Scenario(
        lambda vault: [vault.set(f"s-{number:02}", "x") for number in range(60)],
        lambda client: client.list_properties_of_secrets(),
        lambda items, _: [item.name for item in items] == [f"s-{number:02}" for number in range(60)],
    ),
    "list returns all versions": Scenario(
        two_versions,
        lambda client: client.list_properties_of_secret_versions("db"),
        lambda items, _: len({item.version for item in items}) == 2,
    ),
    "delete completes when the secret can be recovered": Scenario(
        two_versions,
        lambda client: client.begin_delete_secret("db"),
        lambda secret, vault: secret.name == "db" and secret.recovery_id == f"{vault.url}/deletedsecrets/db",
    ),
    "a deletion is resumed by its id": Scenario(
        deleted,
        lambda client: client.resume_delete_secret(f"{client.vault_url}/deletedsecrets/db"),
        lambda secret, _: secret.name == "db" and secret.scheduled_purge_on is not None,
    ),
    "recover completes when the secret can be read": Scenario(
        deleted,
        lambda client: client.begin_recover_deleted_secret("db"),
        lambda properties, vault: properties.name == "db" and vault.value("db") == "new",
    ),
    "a recovery is resumed by its id": Scenario(
        two_versions,
        lambda client: client.resume_recover_deleted_secret(f"{client.vault_url}/secrets/db"),
        lambda properties, _: properties.content_type == "text/plain",
    ),
    "get of a deleted secret returns its dates": Scenario(
        deleted,
        lambda client: client.get_deleted_secret("db"),
        lambda secret, _: (secret.scheduled_purge_on - secret.deleted_on).days == 90,
    ),
    "list returns deleted secrets": Scenario(
        deleted, lambda client: client.list_deleted_secrets(), lambda items, _: [item.name for item in items] == ["db"]
    ),
    "purge returns the response": Scenario(
        deleted, lambda client: client.purge_deleted_secret("db"), lambda response, _: response.status == 204
    ),
    "backup returns bytes": Scenario(
        two_versions, lambda client: client.backup_secret("db"), lambda backup, _: isinstance(backup, bytes)
    ),
}
