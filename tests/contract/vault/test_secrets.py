"""Set, get and update."""

from datetime import UTC, datetime, timedelta

from tests.contract.vault.clients import error_of
from tests.contract.vault.harness import Harness

DAY = datetime(2030, 5, 17, 8, 30, tzinfo=UTC)


class TestSetAndGet:
    async def test_a_secret_is_read_as_it_was_set(self, harness: Harness) -> None:
        written = await harness.client.set(
            "db",
            "pa$$wörd",
            content_type="text/plain",
            tags={"tier": "web"},
            not_before=DAY,
            expires_on=DAY + timedelta(days=1),
        )

        read = await harness.client.get("db")

        assert read == written
        assert (read.value, read.content_type, read.tags) == ("pa$$wörd", "text/plain", {"tier": "web"})
        assert (read.enabled, read.not_before, read.expires_on) == (True, DAY, DAY + timedelta(days=1))
        assert (read.recovery_level, read.recoverable_days) == ("Recoverable+Purgeable", 90)
        assert read.created_on == read.updated_on

    async def test_an_empty_value_is_valid(self, harness: Harness) -> None:
        await harness.client.set("db", "")

        assert (await harness.client.get("db")).value == ""

    async def test_the_longest_value_is_valid(self, harness: Harness) -> None:
        await harness.client.set("db", "x" * 25_600)

        assert len((await harness.client.get("db")).value or "") == 25_600

    async def test_set_adds_a_version_and_keeps_the_old_one(self, harness: Harness) -> None:
        old = await harness.client.set("db", "old", tags={"a": "b"})
        new = await harness.client.set("db", "new")

        assert (await harness.client.get("db")).version == new.version != old.version
        assert (await harness.client.get("db")).tags == {}
        assert await harness.client.get("db", old.version) == old

    async def test_names_ignore_case(self, harness: Harness) -> None:
        await harness.client.set("Db-Password", "v")

        assert (await harness.client.get("db-password")).name == "Db-Password"

    async def test_an_unknown_name_or_version_is_not_found(self, harness: Harness) -> None:
        await harness.client.set("db", "v")

        errors = [
            await error_of(harness.client.get("none")),
            await error_of(harness.client.get("db", "0" * 32)),
            await error_of(harness.client.update("none", enabled=False)),
            await error_of(harness.client.backup("none")),
        ]

        assert errors == [(404, "SecretNotFound")] * 4

    async def test_a_disabled_version_is_forbidden_and_an_older_one_is_not(self, harness: Harness) -> None:
        old = await harness.client.set("db", "old")
        await harness.client.set("db", "new", enabled=False)

        assert await error_of(harness.client.get("db")) == (403, "Forbidden")
        assert (await harness.client.get("db", old.version)).value == "old"

    async def test_dates_are_informational(self, harness: Harness) -> None:
        await harness.client.set("expired", "v", expires_on=datetime(2001, 1, 1, tzinfo=UTC))
        await harness.client.set("early", "v", not_before=datetime(2100, 1, 1, tzinfo=UTC))

        assert [(await harness.client.get(name)).value for name in ("expired", "early")] == ["v", "v"]

    async def test_the_secret_of_a_certificate_is_managed_and_has_the_id_of_its_key(self, harness: Harness) -> None:
        version = harness.vault.set("tls", "UEZY", content_type="application/x-pkcs12", managed=True)

        read = await harness.client.get("tls")

        assert (read.managed, read.content_type) == (True, "application/x-pkcs12")
        assert read.key_id is not None
        assert read.key_id.endswith(f"/keys/tls/{version}")
        assert [each.managed for each in await harness.client.listed()] == [True]


class TestUpdate:
    async def test_update_changes_the_given_fields_only(self, harness: Harness) -> None:
        before = await harness.client.set("db", "v", content_type="text/plain", tags={"a": "b"}, expires_on=DAY)

        changed = await harness.client.update("db", enabled=False, tags={"c": "d"})

        assert (changed.version, changed.created_on) == (before.version, before.created_on)
        assert (changed.enabled, changed.tags) == (False, {"c": "d"})
        assert (changed.content_type, changed.expires_on) == ("text/plain", DAY)

    async def test_a_disabled_secret_can_be_enabled_again(self, harness: Harness) -> None:
        await harness.client.set("db", "v", enabled=False)

        await harness.client.update("db", enabled=True)

        assert (await harness.client.get("db")).value == "v"

    async def test_one_version_can_be_changed(self, harness: Harness) -> None:
        old = await harness.client.set("db", "old")
        new = await harness.client.set("db", "new")

        await harness.client.update("db", old.version, content_type="text/plain")

        kinds = {each.version: each.content_type for each in await harness.client.versions("db")}
        assert kinds == {old.version: "text/plain", new.version: None}
