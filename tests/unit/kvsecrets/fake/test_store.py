"""The store: the phases of a secret, the errors of each operation, and pages of rows."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._fake.errors import VaultRefused
from kvsecrets._fake.store import Changes, Phase, Rows, SecretVersion, Store, StoredSecret, page_of_versions
from tests.unit.kvsecrets.fake.builders import STAMP, Clock, config, versions_in_order

NO_CHANGES = Changes({})


@dataclass
class Fixture:
    """A store with its clock, and operations on one secret."""

    deletion_delay: float = 0.0
    purge_protection: bool = False
    soft_delete: bool = True
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        settings = config(
            deletion_delay=timedelta(seconds=self.deletion_delay),
            purge_protection=self.purge_protection,
            soft_delete=self.soft_delete,
        )
        self.store = Store(settings, versions_in_order())

    def set(self, value: str = "v") -> None:
        self.store.set("db", value, NO_CHANGES, self.clock())

    def delete(self) -> None:
        self.store.delete("db", self.clock())

    def recover(self) -> None:
        self.store.recover("db", self.clock())

    def purge(self) -> None:
        self.store.purge("db", self.clock())

    def advance(self, **step: float) -> None:
        self.clock.advance(**step)
        self.store.settle(self.clock())

    @property
    def phase(self) -> Phase | None:
        secret = self.store.rows.find("db")
        return secret.phase if secret else None

    def error(self, step: str) -> tuple[int, str | None, str]:
        with pytest.raises(VaultRefused) as caught:
            getattr(self, step)()
        return caught.value.status, caught.value.inner, caught.value.message


class TestVersions:
    def test_set_adds_a_version_and_the_newest_is_the_default(self) -> None:
        fixture = Fixture()
        fixture.set("old")
        fixture.set("new")

        assert fixture.store.version("db", "")[1].value == "new"
        assert fixture.store.version("DB", f"{1:032x}")[1].value == "old"

    def test_update_changes_updated_and_neither_created_nor_the_id(self) -> None:
        fixture = Fixture()
        fixture.set()
        fixture.advance(seconds=5)

        _, version = fixture.store.update("db", "", Changes({"enabled": False}), fixture.clock())

        assert (version.id, version.created, version.updated, version.enabled) == (
            f"{1:032x}",
            STAMP,
            STAMP + 5,
            False,
        )

    def test_an_unknown_version_is_not_found(self) -> None:
        fixture = Fixture()
        fixture.set()

        with pytest.raises(VaultRefused, match="name/id\\) db/abc was not found"):
            fixture.store.version("db", "abc")

    @pytest.mark.parametrize("name", ["a_b", "a.b", "", "a" * 128, "ä"])
    def test_an_invalid_name_is_rejected(self, name: str) -> None:
        with pytest.raises(VaultRefused, match="contains an invalid name"):
            Fixture().store.set(name, "v", NO_CHANGES, Clock()())


class TestDeletion:
    def test_a_deletion_hides_the_secret_at_once_and_completes_after_its_delay(self) -> None:
        fixture = Fixture(deletion_delay=5)
        fixture.set()
        fixture.delete()
        with pytest.raises(VaultRefused, match="was not found in this key vault"):
            fixture.store.live("db")
        with pytest.raises(VaultRefused, match="Deleted Secret not found: db"):
            fixture.store.deleted("db")

        fixture.advance(seconds=5)

        assert fixture.store.deleted("db").purge_on == STAMP + 90 * 86400

    def test_a_recovery_completes_after_its_delay_with_the_same_version(self) -> None:
        fixture = Fixture(deletion_delay=5)
        fixture.set()
        before = fixture.store.live("db").newest
        fixture.delete()
        fixture.advance(seconds=5)
        fixture.recover()
        assert fixture.phase is Phase.RECOVERING

        fixture.advance(seconds=5)

        assert fixture.store.live("db").newest == before

    def test_a_purge_completes_after_its_delay_and_frees_the_name(self) -> None:
        fixture = Fixture(deletion_delay=5)
        fixture.set()
        fixture.delete()
        fixture.advance(seconds=5)
        fixture.purge()
        assert fixture.phase is Phase.PURGING

        fixture.advance(seconds=5)

        assert fixture.phase is None

    def test_a_deleted_secret_is_purged_after_its_retention(self) -> None:
        fixture = Fixture()
        fixture.set()
        fixture.delete()
        fixture.advance(days=89, hours=23)
        assert fixture.phase is Phase.DELETED

        fixture.advance(hours=1)

        assert fixture.phase is None

    def test_a_recovered_secret_is_not_purged_after_its_retention(self) -> None:
        fixture = Fixture()
        fixture.set()
        fixture.delete()
        fixture.recover()

        fixture.advance(days=91)

        assert fixture.phase is Phase.LIVE

    def test_a_deleted_secret_without_soft_delete_is_removed(self) -> None:
        fixture = Fixture(soft_delete=False)
        fixture.set()
        fixture.delete()

        assert fixture.phase is None

    def test_purge_protection_forbids_purging(self) -> None:
        fixture = Fixture(purge_protection=True)
        fixture.set()
        fixture.delete()

        status, _, message = fixture.error("purge")

        assert status == 403
        assert "purge protection is enabled" in message


BEING_DELETED = (409, "ObjectIsBeingDeleted", "Secret is currently being deleted.")
BEING_RECOVERED = (409, "ObjectIsBeingRecovered", "Secret is currently being recovered.")
NOT_DELETED = (404, None, "Deleted Secret not found: db")


@pytest.mark.parametrize(
    ("steps", "step", "error"),
    [
        pytest.param(
            "delete",
            "set",
            (
                409,
                "ObjectIsBeingDeleted",
                "Secret db is currently being deleted and cannot be re-created; retry later.",
            ),
            id="set while deleting",
        ),
        pytest.param(
            "delete settle recover",
            "set",
            (
                409,
                "ObjectIsBeingRecovered",
                "Secret db is currently being recovered and cannot be re-created; retry later.",
            ),
            id="set while recovering",
        ),
        pytest.param(
            "delete settle",
            "set",
            (
                409,
                "ObjectIsDeletedButRecoverable",
                (
                    "Secret db is currently in a deleted but recoverable state, and its name cannot be reused; in this "
                    "state, the secret can only be recovered or purged."
                ),
            ),
            id="set while deleted",
        ),
        pytest.param("delete", "purge", BEING_DELETED, id="purge while deleting"),
        pytest.param("delete", "recover", BEING_DELETED, id="recover while deleting"),
        pytest.param("delete settle purge", "purge", BEING_DELETED, id="purge while purging"),
        pytest.param("delete settle recover", "purge", BEING_RECOVERED, id="purge while recovering"),
        pytest.param("", "purge", NOT_DELETED, id="purge while live"),
        pytest.param("", "recover", NOT_DELETED, id="recover while live"),
    ],
)
def test_an_operation_in_the_wrong_phase_is_an_error(steps: str, step: str, error: tuple[int, str | None, str]) -> None:
    fixture = Fixture(deletion_delay=5)
    fixture.set()
    for each in steps.split():
        if each == "settle":
            fixture.advance(seconds=5)
        else:
            getattr(fixture, each)()

    assert fixture.error(step) == error


@pytest.mark.parametrize("step", ["delete", "recover", "purge"])
def test_an_unknown_name_is_not_found(step: str) -> None:
    status, _, message = Fixture().error(step)

    assert status == 404
    assert message.startswith("A secret with (name/id) db was not found in this key vault.")


class TestManaged:
    @pytest.mark.parametrize("step", ["set", "delete"])
    def test_the_secret_of_a_certificate_cannot_be_changed(self, step: str) -> None:
        fixture = Fixture()
        fixture.store.set("db", "pfx", NO_CHANGES, fixture.clock(), managed=True)

        status, _, message = fixture.error(step)

        assert (status, message) == (403, f"Operation {step} is not allowed on a secret managed by a certificate.")

    def test_a_certificate_can_add_versions(self) -> None:
        fixture = Fixture()
        for value in ("old", "new"):
            fixture.store.set("db", value, NO_CHANGES, fixture.clock(), managed=True)

        assert fixture.store.live("db").newest.value == "new"


class TestRestore:
    @pytest.mark.parametrize("steps", ["", "delete", "delete settle", "delete settle purge"])
    def test_a_name_in_any_phase_is_a_conflict(self, steps: str) -> None:
        fixture = Fixture(deletion_delay=5)
        fixture.set()
        backed_up = fixture.store.live("db")
        for each in steps.split():
            if each == "settle":
                fixture.advance(seconds=5)
            else:
                getattr(fixture, each)()

        with pytest.raises(VaultRefused, match="409 Conflict: There was a conflict restoring the secret"):
            fixture.store.restore(backed_up)


# Pages.

SIZES = st.integers(1, 25)
SECRETS = st.dictionaries(
    st.text("abcXYZ01-", min_size=1, max_size=6),
    st.tuples(st.integers(1, 40), st.sampled_from(Phase)),
    max_size=12,
)


def secret(name: str, versions: int = 1, phase: Phase = Phase.LIVE) -> StoredSecret:
    ids = [f"{(number * 7919) % 10007:032x}" for number in range(1, versions + 1)]
    return StoredSecret(name, {id_: SecretVersion(id=id_, value="", created=0, updated=0) for id_ in ids}, phase)


def rows_of(*secrets: StoredSecret) -> Rows:
    rows = Rows()
    for each in secrets:
        rows.add(each)
    return rows


def pages_in(rows: Rows, phase: Phase, size: int) -> list[list[str]]:
    pages, marker = [], ""
    while True:
        shown, following = rows.page(phase, marker, size)
        pages.append([each.name for each in shown])
        if following is None:
            return pages
        marker = following


@given(SECRETS, st.sampled_from(Phase), SIZES)
def test_all_pages_show_every_secret_of_the_phase_once_in_order(
    secrets: dict[str, tuple[int, Phase]], phase: Phase, size: int
) -> None:
    unique = {name.upper(): secret(name, *rest) for name, rest in secrets.items()}

    shown = [name for page in pages_in(rows_of(*unique.values()), phase, size) for name in page]

    assert shown == [unique[key].name for key in sorted(unique) if unique[key].phase is phase]


@given(SECRETS, SIZES)
def test_the_number_of_pages_is_that_of_the_rows(secrets: dict[str, tuple[int, Phase]], size: int) -> None:
    unique = {name.upper(): secret(name, *rest) for name, rest in secrets.items()}
    count = sum(len(each.versions) for each in unique.values())

    pages = pages_in(rows_of(*unique.values()), Phase.LIVE, size)

    assert len(pages) == max(1, -(-count // size))


def test_names_are_ordered_and_found_regardless_of_case() -> None:
    rows = rows_of(secret("b"), secret("C"), secret("A"))

    assert pages_in(rows, Phase.LIVE, 25) == [["A", "b", "C"]]
    assert rows.find("c") is rows.find("C") is not None


def test_a_marker_is_valid_after_its_secret_is_removed() -> None:
    removed = secret("b", versions=3)
    rows = rows_of(secret("a"), removed, secret("c"))
    _, marker = rows.page(Phase.LIVE, "", 2)
    assert marker is not None
    rows.remove(removed)

    shown, following = rows.page(Phase.LIVE, marker, 25)

    assert ([each.name for each in shown], following) == (["c"], None)


@given(st.integers(1, 60), SIZES)
def test_versions_are_ordered_by_id(count: int, size: int) -> None:
    stored = secret("a", versions=count)
    seen: list[str] = []
    marker: str | None = ""
    while marker is not None:
        page, marker = page_of_versions(stored, marker, size)
        assert len(page) <= size
        seen += [version.id for version in page]

    assert seen == sorted(stored.versions)
