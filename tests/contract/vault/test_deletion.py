"""Deleting, recovering, purging, backing up and restoring, half done too, as every client sees it."""

from datetime import timedelta

from tests.contract.vault.clients import refusal
from tests.contract.vault.stages import SLOW, Open, Stage


class TestDeletion:
    async def test_a_deleted_secret_is_kept_for_its_time_and_comes_back_as_it_was(self, stage: Stage) -> None:
        before = await stage.client.set("db", "v", tags={"a": "b"})
        await (await stage.client.start_delete("db")).finish()

        deleted = await stage.client.get_deleted("db")

        assert await refusal(stage.client.get("db")) == (404, "SecretNotFound")
        assert deleted.secret.tags == {"a": "b"}
        assert deleted.recovery_id is not None
        assert deleted.recovery_id.endswith("/deletedsecrets/db")
        assert deleted.deleted_on is not None
        assert deleted.purged_on == deleted.deleted_on + timedelta(days=90)
        assert [each.secret.name for each in await stage.client.listed_deleted()] == ["db"]

        await (await stage.client.start_recover("db")).finish()

        assert await stage.client.get("db") == before
        assert await stage.client.listed_deleted() == []

    async def test_waiting_ends_when_the_deletion_does_and_so_for_the_recovery(self, open_stage: Open) -> None:
        stage = await open_stage(deletion_delay=0.1)
        await stage.client.set("db", "v")

        await (await stage.client.start_delete("db")).finish()
        assert (await stage.client.get_deleted("db")).secret.name == "db"
        await (await stage.client.start_recover("db")).finish()

        assert (await stage.client.get("db")).value == "v"
        assert stage.calls()["get_deleted"] >= 2

    async def test_while_it_is_being_deleted_it_can_be_neither_read_nor_set_nor_purged(self, open_stage: Open) -> None:
        stage = await open_stage(deletion_delay=SLOW)
        await stage.client.set("db", "v")
        operation = await stage.client.start_delete("db")

        answers = [
            await refusal(stage.client.get("db")),
            await refusal(stage.client.get_deleted("db")),
            await refusal(stage.client.set("db", "v")),
            await refusal(stage.client.purge("db")),
        ]
        stage.advance(SLOW)
        await operation.finish()

        assert answers == [(404, "SecretNotFound"), (404, "SecretNotFound"), (409, "Conflict"), (409, "Conflict")]
        assert (await stage.client.get_deleted("db")).secret.name == "db"

    async def test_while_it_is_being_recovered_it_can_be_neither_read_nor_set(self, open_stage: Open) -> None:
        stage = await open_stage(deletion_delay=SLOW)
        await stage.client.set("db", "v")
        stage.vault.delete("db")
        stage.advance(SLOW)
        operation = await stage.client.start_recover("db")

        answers = [await refusal(stage.client.get("db")), await refusal(stage.client.set("db", "v"))]
        stage.advance(SLOW)
        await operation.finish()

        assert answers == [(404, "SecretNotFound"), (409, "Conflict")]
        assert (await stage.client.get("db")).value == "v"

    async def test_a_purged_name_is_free_only_when_the_purge_has_ended(self, open_stage: Open) -> None:
        stage = await open_stage(deletion_delay=SLOW)
        await stage.client.set("db", "v")
        stage.vault.delete("db")
        stage.advance(SLOW)
        await stage.client.purge("db")

        while_purging = [await refusal(stage.client.set("db", "v")), await refusal(stage.client.get_deleted("db"))]
        stage.advance(SLOW)

        assert while_purging == [(409, "Conflict"), (404, "SecretNotFound")]
        assert (await stage.client.set("db", "anew")).value == "anew"

    async def test_the_name_of_a_deleted_secret_is_taken(self, stage: Stage) -> None:
        stage.vault.set("db", "v")
        stage.vault.delete("db")

        assert await refusal(stage.client.set("db", "v")) == (409, "Conflict")

    async def test_what_does_not_exist_can_be_neither_deleted_nor_recovered_nor_purged(self, stage: Stage) -> None:
        async def deletion() -> None:
            await (await stage.client.start_delete("none")).finish()

        async def recovery() -> None:
            await (await stage.client.start_recover("none")).finish()

        answers = [await refusal(call) for call in (deletion(), recovery(), stage.client.purge("none"))]

        assert answers == [(404, "SecretNotFound")] * 3

    async def test_purge_protection_forbids_purging(self, open_stage: Open) -> None:
        stage = await open_stage(purge_protection=True)
        await stage.client.set("db", "v")
        stage.vault.delete("db")

        assert await refusal(stage.client.purge("db")) == (403, "Forbidden")
        assert (await stage.client.get_deleted("db")).secret.recovery_level == "Recoverable"

    async def test_without_soft_delete_a_deletion_is_final_and_done_at_once(self, open_stage: Open) -> None:
        stage = await open_stage(soft_delete=False)
        await stage.client.set("db", "v")
        await (await stage.client.start_delete("db")).finish()

        assert stage.calls()["get_deleted"] == 0
        assert await refusal(stage.client.get_deleted("db")) == (404, "SecretNotFound")
        assert (await stage.client.set("db", "anew")).recovery_level == "Purgeable"


class TestBackup:
    async def test_a_backup_brings_all_versions_back(self, stage: Stage) -> None:
        await stage.client.set("db", "old")
        await stage.client.set("db", "new", tags={"a": "b"})
        before = await stage.client.versions("db")
        backup = await stage.client.backup("db")
        stage.vault.delete("db")
        stage.vault.purge("db")

        restored = await stage.client.restore(backup)

        assert backup.startswith(b")AzureKeyVaultSecretBackupV1.microsoft.com")
        assert restored.tags == {"a": "b"}
        assert await stage.client.versions("db") == before
        assert (await stage.client.get("db")).value == "new"

    async def test_a_name_that_lives_or_is_deleted_or_is_being_purged_is_not_restored_over(
        self, open_stage: Open
    ) -> None:
        stage = await open_stage(deletion_delay=SLOW)
        await stage.client.set("db", "v")
        backup = await stage.client.backup("db")
        answers = [await refusal(stage.client.restore(backup))]
        stage.vault.delete("db")
        stage.advance(SLOW)
        answers += [await refusal(stage.client.restore(backup))]
        stage.vault.purge("db")
        answers += [await refusal(stage.client.restore(backup))]
        stage.advance(SLOW)

        assert answers == [(409, "Conflict")] * 3
        assert (await stage.client.restore(backup)).name == "db"

    async def test_what_is_no_backup_is_refused(self, stage: Stage) -> None:
        assert await refusal(stage.client.restore(b"no backup")) == (400, "Malformed backup blob")
