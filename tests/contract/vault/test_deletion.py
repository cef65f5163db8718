"""Delete, recover, purge, back up and restore, and their incomplete phases."""

from datetime import timedelta

from tests.contract.vault.clients import error_of
from tests.contract.vault.harness import SLOW, Harness, Open


class TestDeletion:
    async def test_a_deleted_secret_is_retained_and_recovered_unchanged(self, harness: Harness) -> None:
        before = await harness.client.set("db", "v", tags={"a": "b"})
        await (await harness.client.start_delete("db")).finish()

        deleted = await harness.client.get_deleted("db")

        assert await error_of(harness.client.get("db")) == (404, "SecretNotFound")
        assert deleted.secret.tags == {"a": "b"}
        assert deleted.recovery_id is not None
        assert deleted.recovery_id.endswith("/deletedsecrets/db")
        assert deleted.deleted_on is not None
        assert deleted.purged_on == deleted.deleted_on + timedelta(days=90)
        assert [each.secret.name for each in await harness.client.listed_deleted()] == ["db"]

        await (await harness.client.start_recover("db")).finish()

        assert await harness.client.get("db") == before
        assert await harness.client.listed_deleted() == []

    async def test_waiting_ends_when_deletion_or_recovery_has_completed(self, open_harness: Open) -> None:
        harness = await open_harness(deletion_delay=0.1)
        await harness.client.set("db", "v")

        await (await harness.client.start_delete("db")).finish()
        assert (await harness.client.get_deleted("db")).secret.name == "db"
        await (await harness.client.start_recover("db")).finish()

        assert (await harness.client.get("db")).value == "v"
        assert harness.calls()["get_deleted"] >= 2

    async def test_a_secret_in_deletion_can_be_neither_read_nor_set_nor_purged(self, open_harness: Open) -> None:
        harness = await open_harness(deletion_delay=SLOW)
        await harness.client.set("db", "v")
        operation = await harness.client.start_delete("db")

        errors = [
            await error_of(harness.client.get("db")),
            await error_of(harness.client.get_deleted("db")),
            await error_of(harness.client.set("db", "v")),
            await error_of(harness.client.purge("db")),
        ]
        harness.advance(SLOW)
        await operation.finish()

        assert errors == [(404, "SecretNotFound"), (404, "SecretNotFound"), (409, "Conflict"), (409, "Conflict")]
        assert (await harness.client.get_deleted("db")).secret.name == "db"

    async def test_a_secret_in_recovery_can_be_neither_read_nor_set(self, open_harness: Open) -> None:
        harness = await open_harness(deletion_delay=SLOW)
        await harness.client.set("db", "v")
        harness.vault.delete("db")
        harness.advance(SLOW)
        operation = await harness.client.start_recover("db")

        errors = [await error_of(harness.client.get("db")), await error_of(harness.client.set("db", "v"))]
        harness.advance(SLOW)
        await operation.finish()

        assert errors == [(404, "SecretNotFound"), (409, "Conflict")]
        assert (await harness.client.get("db")).value == "v"

    async def test_a_name_is_free_when_the_purge_has_completed(self, open_harness: Open) -> None:
        harness = await open_harness(deletion_delay=SLOW)
        await harness.client.set("db", "v")
        harness.vault.delete("db")
        harness.advance(SLOW)
        await harness.client.purge("db")

        while_purging = [
            await error_of(harness.client.set("db", "v")),
            await error_of(harness.client.get_deleted("db")),
        ]
        harness.advance(SLOW)

        assert while_purging == [(409, "Conflict"), (404, "SecretNotFound")]
        assert (await harness.client.set("db", "new")).value == "new"

    async def test_the_name_of_a_deleted_secret_cannot_be_set(self, harness: Harness) -> None:
        harness.vault.set("db", "v")
        harness.vault.delete("db")

        assert await error_of(harness.client.set("db", "v")) == (409, "Conflict")

    async def test_an_unknown_secret_can_be_neither_deleted_nor_recovered_nor_purged(self, harness: Harness) -> None:
        async def deletion() -> None:
            await (await harness.client.start_delete("none")).finish()

        async def recovery() -> None:
            await (await harness.client.start_recover("none")).finish()

        errors = [await error_of(call) for call in (deletion(), recovery(), harness.client.purge("none"))]

        assert errors == [(404, "SecretNotFound")] * 3

    async def test_purge_protection_forbids_purging(self, open_harness: Open) -> None:
        harness = await open_harness(purge_protection=True)
        await harness.client.set("db", "v")
        harness.vault.delete("db")

        assert await error_of(harness.client.purge("db")) == (403, "Forbidden")
        assert (await harness.client.get_deleted("db")).secret.recovery_level == "Recoverable"

    async def test_a_deletion_without_soft_delete_is_final_and_completed_at_once(self, open_harness: Open) -> None:
        harness = await open_harness(soft_delete=False)
        await harness.client.set("db", "v")
        await (await harness.client.start_delete("db")).finish()

        assert harness.calls()["get_deleted"] == 0
        assert await error_of(harness.client.get_deleted("db")) == (404, "SecretNotFound")
        assert (await harness.client.set("db", "new")).recovery_level == "Purgeable"


class TestBackup:
    async def test_a_backup_restores_all_versions(self, harness: Harness) -> None:
        await harness.client.set("db", "old")
        await harness.client.set("db", "new", tags={"a": "b"})
        before = await harness.client.versions("db")
        backup = await harness.client.backup("db")
        harness.vault.delete("db")
        harness.vault.purge("db")

        restored = await harness.client.restore(backup)

        assert backup.startswith(b")AzureKeyVaultSecretBackupV1.microsoft.com")
        assert restored.tags == {"a": "b"}
        assert await harness.client.versions("db") == before
        assert (await harness.client.get("db")).value == "new"

    async def test_a_backup_is_not_restored_over_an_existing_name(self, open_harness: Open) -> None:
        harness = await open_harness(deletion_delay=SLOW)
        await harness.client.set("db", "v")
        backup = await harness.client.backup("db")
        errors = [await error_of(harness.client.restore(backup))]
        harness.vault.delete("db")
        harness.advance(SLOW)
        errors += [await error_of(harness.client.restore(backup))]
        harness.vault.purge("db")
        errors += [await error_of(harness.client.restore(backup))]
        harness.advance(SLOW)

        assert errors == [(409, "Conflict")] * 3
        assert (await harness.client.restore(backup)).name == "db"

    async def test_an_invalid_backup_is_rejected(self, harness: Harness) -> None:
        assert await error_of(harness.client.restore(b"not a backup")) == (400, "Malformed backup blob")
