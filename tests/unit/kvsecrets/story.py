"""What can be done with a client, as a table: both twins are held to each line of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kvsecrets import CLEAR, AsyncSecretClient, SecretClient
from kvsecrets.testing import FakeVault

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
Client = Any
"""Either twin: what a call gives is awaited, walked through or waited for by the test, as its twin needs it."""


@dataclass(frozen=True)
class Line:
    """A vault before a call, the call, and what it must give."""

    before: Callable[[FakeVault], object]
    call: Callable[[Client], Any]
    gives: Callable[[Any, FakeVault], bool]


def two_versions(vault: FakeVault) -> None:
    vault.set("db", "old")
    vault.set("db", "new", content_type="text/plain", tags={"a": "b"}, expires_on=NEW_YEAR)


def deleted(vault: FakeVault) -> None:
    two_versions(vault)
    vault.delete("db")


STORY = {
    "get reads the newest version": Line(
        two_versions, lambda client: client.get_secret("db"), lambda secret, _: secret.value.reveal() == "new"
    ),
    "set makes a new version of a name that exists": Line(
        two_versions,
        lambda client: client.set_secret("db", "newest", tags={"x": "y"}, enabled=True),
        lambda secret, vault: vault.value("db") == "newest" and secret.properties.tags == {"x": "y"},
    ),
    "set takes nothing over from the version before": Line(
        two_versions,
        lambda client: client.set_secret("db", "newest"),
        lambda secret, _: secret.properties.expires_on is None and secret.properties.content_type is None,
    ),
    "set writes every property": Line(
        lambda _: None,
        lambda client: client.set_secret(
            "db", "x", content_type="text/plain", enabled=False, not_before=NEW_YEAR, expires_on=NEW_YEAR
        ),
        lambda secret, _: (
            (secret.properties.content_type, secret.properties.enabled) == ("text/plain", False)
            and (secret.properties.not_before, secret.properties.expires_on) == (NEW_YEAR, NEW_YEAR)
        ),
    ),
    "update changes what is given and keeps the rest": Line(
        two_versions,
        lambda client: client.update_secret_properties("db", content_type="text/html"),
        lambda properties, vault: (
            (properties.content_type, properties.tags, properties.expires_on) == ("text/html", {"a": "b"}, NEW_YEAR)
            and vault.value("db") == "new"
        ),
    ),
    "update clears what is to be cleared": Line(
        two_versions,
        lambda client: client.update_secret_properties("db", content_type=CLEAR, tags=CLEAR, expires_on=CLEAR),
        lambda properties, _: (properties.content_type, properties.tags, properties.expires_on) == (None, {}, None),
    ),
    "list walks through all secrets without values": Line(
        lambda vault: [vault.set(f"s-{number:02}", "x") for number in range(60)],
        lambda client: client.list_properties_of_secrets(),
        lambda items, _: [item.name for item in items] == [f"s-{number:02}" for number in range(60)],
    ),
    "list walks through all versions": Line(
        two_versions,
        lambda client: client.list_properties_of_secret_versions("db"),
        lambda items, _: len({item.version for item in items}) == 2,
    ),
    "delete waits until the secret can be recovered": Line(
        two_versions,
        lambda client: client.begin_delete_secret("db"),
        lambda secret, vault: secret.name == "db" and secret.recovery_id == f"{vault.url}/deletedsecrets/db",
    ),
    "a deletion is taken up again by its id": Line(
        deleted,
        lambda client: client.resume_delete_secret(f"{client.vault_url}/deletedsecrets/db"),
        lambda secret, _: secret.name == "db" and secret.scheduled_purge_on is not None,
    ),
    "recover waits until the secret can be read": Line(
        deleted,
        lambda client: client.begin_recover_deleted_secret("db"),
        lambda properties, vault: properties.name == "db" and vault.value("db") == "new",
    ),
    "a recovery is taken up again by its id": Line(
        two_versions,
        lambda client: client.resume_recover_deleted_secret(f"{client.vault_url}/secrets/db"),
        lambda properties, _: properties.content_type == "text/plain",
    ),
    "get of a deleted secret tells when it goes": Line(
        deleted,
        lambda client: client.get_deleted_secret("db"),
        lambda secret, _: (secret.scheduled_purge_on - secret.deleted_on).days == 90,
    ),
    "list walks through deleted secrets": Line(
        deleted, lambda client: client.list_deleted_secrets(), lambda items, _: [item.name for item in items] == ["db"]
    ),
    "purge gives nothing": Line(
        deleted, lambda client: client.purge_deleted_secret("db"), lambda nothing, _: nothing is None
    ),
    "backup gives bytes": Line(
        two_versions, lambda client: client.backup_secret("db"), lambda backup, _: isinstance(backup, bytes)
    ),
}


async def backed_up_and_restored(client: AsyncSecretClient | SecretClient, vault: FakeVault, run: Any) -> list[Any]:  # noqa: ANN401 - awaits or not
    """Restore a backup over nothing, and return the versions before and after."""
    two_versions(vault)
    before = await run(client.list_properties_of_secret_versions("db"))
    backup = await run(client.backup_secret("db"))
    await run(client.begin_delete_secret("db"))
    await run(client.purge_deleted_secret("db"))
    await run(client.restore_secret_backup(backup))
    return [before, await run(client.list_properties_of_secret_versions("db"))]
