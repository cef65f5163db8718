"""Setting, reading and updating a secret, as every client sees it."""

from datetime import UTC, datetime, timedelta

from tests.contract.vault.clients import refusal
from tests.contract.vault.stages import Stage

DAY = datetime(2030, 5, 17, 8, 30, tzinfo=UTC)


class TestSetAndGet:
    async def test_what_is_set_is_read(self, stage: Stage) -> None:
        written = await stage.client.set(
            "db",
            "pa$$wörd",
            content_type="text/plain",
            tags={"tier": "web"},
            not_before=DAY,
            expires_on=DAY + timedelta(days=1),
        )

        read = await stage.client.get("db")

        assert read == written
        assert (read.value, read.content_type, read.tags) == ("pa$$wörd", "text/plain", {"tier": "web"})
        assert (read.enabled, read.not_before, read.expires_on) == (True, DAY, DAY + timedelta(days=1))
        assert (read.recovery_level, read.recoverable_days) == ("Recoverable+Purgeable", 90)
        assert read.created_on == read.updated_on

    async def test_an_empty_value_is_a_value(self, stage: Stage) -> None:
        await stage.client.set("db", "")

        assert (await stage.client.get("db")).value == ""

    async def test_the_longest_value_fits(self, stage: Stage) -> None:
        await stage.client.set("db", "x" * 25_600)

        assert len((await stage.client.get("db")).value or "") == 25_600

    async def test_a_name_set_again_gets_a_new_version_and_keeps_the_old_one(self, stage: Stage) -> None:
        old = await stage.client.set("db", "old", tags={"a": "b"})
        new = await stage.client.set("db", "new")

        assert (await stage.client.get("db")).version == new.version != old.version
        assert (await stage.client.get("db")).tags == {}
        assert await stage.client.get("db", old.version) == old

    async def test_names_are_found_in_any_case(self, stage: Stage) -> None:
        await stage.client.set("Db-Password", "v")

        assert (await stage.client.get("db-password")).name == "Db-Password"

    async def test_an_unknown_name_or_version_is_not_found(self, stage: Stage) -> None:
        await stage.client.set("db", "v")

        answers = [
            await refusal(stage.client.get("none")),
            await refusal(stage.client.get("db", "0" * 32)),
            await refusal(stage.client.update("none", enabled=False)),
            await refusal(stage.client.backup("none")),
        ]

        assert answers == [(404, "SecretNotFound")] * 4

    async def test_a_disabled_secret_is_forbidden_though_an_older_version_is_not(self, stage: Stage) -> None:
        old = await stage.client.set("db", "old")
        await stage.client.set("db", "new", enabled=False)

        assert await refusal(stage.client.get("db")) == (403, "Forbidden")
        assert (await stage.client.get("db", old.version)).value == "old"

    async def test_dates_inform_and_forbid_nothing(self, stage: Stage) -> None:
        await stage.client.set("expired", "v", expires_on=datetime(2001, 1, 1, tzinfo=UTC))
        await stage.client.set("early", "v", not_before=datetime(2100, 1, 1, tzinfo=UTC))

        assert [(await stage.client.get(name)).value for name in ("expired", "early")] == ["v", "v"]

    async def test_a_certificates_secret_is_managed_and_names_its_key(self, stage: Stage) -> None:
        version = stage.vault.set("tls", "UEZY", content_type="application/x-pkcs12", managed=True)

        read = await stage.client.get("tls")

        assert (read.managed, read.content_type) == (True, "application/x-pkcs12")
        assert read.key_id is not None
        assert read.key_id.endswith(f"/keys/tls/{version}")
        assert [each.managed for each in await stage.client.listed()] == [True]


class TestUpdate:
    async def test_what_is_given_changes_and_the_rest_stays(self, stage: Stage) -> None:
        before = await stage.client.set("db", "v", content_type="text/plain", tags={"a": "b"}, expires_on=DAY)

        changed = await stage.client.update("db", enabled=False, tags={"c": "d"})

        assert (changed.version, changed.created_on) == (before.version, before.created_on)
        assert (changed.enabled, changed.tags) == (False, {"c": "d"})
        assert (changed.content_type, changed.expires_on) == ("text/plain", DAY)

    async def test_a_disabled_secret_can_be_enabled_again(self, stage: Stage) -> None:
        await stage.client.set("db", "v", enabled=False)

        await stage.client.update("db", enabled=True)

        assert (await stage.client.get("db")).value == "v"

    async def test_one_version_can_be_changed_without_the_others(self, stage: Stage) -> None:
        old = await stage.client.set("db", "old")
        new = await stage.client.set("db", "new")

        await stage.client.update("db", old.version, content_type="text/plain")

        kinds = {each.version: each.content_type for each in await stage.client.versions("db")}
        assert kinds == {old.version: "text/plain", new.version: None}
