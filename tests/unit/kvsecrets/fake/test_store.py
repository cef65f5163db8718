"""The life of a secret: what each operation makes of it, and when it is refused."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from kvsecrets._fake.bodies import Changes
from kvsecrets._fake.refusals import VaultRefused
from kvsecrets._fake.rows import Phase
from kvsecrets._fake.store import Store
from tests.unit.kvsecrets.fake.builders import STAMP, Clock, profile, versions_in_order

NOTHING = Changes({})


@dataclass
class Life:
    """A store, its clock, and one secret's name."""

    deletion_delay: float = 0.0
    purge_protection: bool = False
    soft_delete: bool = True
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        vault = profile(
            deletion_delay=timedelta(seconds=self.deletion_delay),
            purge_protection=self.purge_protection,
            soft_delete=self.soft_delete,
        )
        self.store = Store(vault, versions_in_order())

    def set(self, value: str = "v") -> None:
        self.store.set("db", value, NOTHING, self.clock())

    def delete(self) -> None:
        self.store.delete("db", self.clock())

    def recover(self) -> None:
        self.store.recover("db", self.clock())

    def purge(self) -> None:
        self.store.purge("db", self.clock())

    def pass_time(self, **step: float) -> None:
        self.clock.advance(**step)
        self.store.settle(self.clock())

    @property
    def phase(self) -> Phase | None:
        secret = self.store.rows.find("db")
        return secret.phase if secret else None

    def refusal(self, step: str) -> tuple[int, str | None, str]:
        with pytest.raises(VaultRefused) as refused:
            getattr(self, step)()
        return refused.value.status, refused.value.inner, refused.value.message


class TestVersions:
    def test_a_set_makes_a_version_and_the_newest_counts(self) -> None:
        life = Life()
        life.set("old")
        life.set("new")

        assert life.store.version("db", "")[1].value == "new"
        assert life.store.version("DB", f"{1:032x}")[1].value == "old"

    def test_an_update_moves_updated_and_neither_created_nor_the_id(self) -> None:
        life = Life()
        life.set()
        life.pass_time(seconds=5)

        _, version = life.store.update("db", "", Changes({"enabled": False}), life.clock())

        assert (version.id, version.created, version.updated, version.enabled) == (
            f"{1:032x}",
            STAMP,
            STAMP + 5,
            False,
        )

    def test_an_unknown_version_is_not_found_by_its_whole_id(self) -> None:
        life = Life()
        life.set()

        with pytest.raises(VaultRefused, match="name/id\\) db/abc was not found"):
            life.store.version("db", "abc")

    @pytest.mark.parametrize("name", ["a_b", "a.b", "", "a" * 128, "ä"])
    def test_a_bad_name_is_refused(self, name: str) -> None:
        with pytest.raises(VaultRefused, match="contains an invalid name"):
            Life().store.set(name, "v", NOTHING, Clock()())


class TestDeletion:
    def test_a_deletion_takes_its_time_and_hides_the_secret_at_once(self) -> None:
        life = Life(deletion_delay=5)
        life.set()
        life.delete()
        with pytest.raises(VaultRefused, match="was not found in this key vault"):
            life.store.live("db")
        with pytest.raises(VaultRefused, match="Deleted Secret not found: db"):
            life.store.deleted("db")

        life.pass_time(seconds=5)

        assert life.store.deleted("db").purge_on == STAMP + 90 * 86400

    def test_a_recovery_takes_its_time_and_brings_back_what_was(self) -> None:
        life = Life(deletion_delay=5)
        life.set()
        before = life.store.live("db").newest
        life.delete()
        life.pass_time(seconds=5)
        life.recover()
        assert life.phase is Phase.RECOVERING

        life.pass_time(seconds=5)

        assert life.store.live("db").newest == before

    def test_a_purge_takes_its_time_and_frees_the_name(self) -> None:
        life = Life(deletion_delay=5)
        life.set()
        life.delete()
        life.pass_time(seconds=5)
        life.purge()
        assert life.phase is Phase.PURGING

        life.pass_time(seconds=5)

        assert life.phase is None

    def test_the_vault_purges_by_itself_when_the_retention_is_over(self) -> None:
        life = Life()
        life.set()
        life.delete()
        life.pass_time(days=89, hours=23)
        assert life.phase is Phase.DELETED

        life.pass_time(hours=1)

        assert life.phase is None

    def test_a_recovered_secret_outlives_its_old_retention(self) -> None:
        life = Life()
        life.set()
        life.delete()
        life.recover()

        life.pass_time(days=91)

        assert life.phase is Phase.LIVE

    def test_without_soft_delete_a_deleted_secret_is_gone(self) -> None:
        life = Life(soft_delete=False)
        life.set()
        life.delete()

        assert life.phase is None

    def test_under_purge_protection_nobody_purges(self) -> None:
        life = Life(purge_protection=True)
        life.set()
        life.delete()

        status, _, message = life.refusal("purge")

        assert status == 403
        assert "purge protection is enabled" in message


BEING_DELETED = (409, "ObjectIsBeingDeleted", "Secret is currently being deleted.")
BEING_RECOVERED = (409, "ObjectIsBeingRecovered", "Secret is currently being recovered.")
NOT_DELETED = (404, None, "Deleted Secret not found: db")


@pytest.mark.parametrize(
    ("steps", "step", "refusal"),
    [
        pytest.param(
            "delete",
            "set",
            (
                409,
                "ObjectIsBeingDeleted",
                "Secret db is currently being deleted and cannot be re-created; retry later.",
            ),
            id="set while it is being deleted",
        ),
        pytest.param(
            "delete settle recover",
            "set",
            (
                409,
                "ObjectIsBeingRecovered",
                "Secret db is currently being recovered and cannot be re-created; retry later.",
            ),
            id="set while it is being recovered",
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
            id="set while it is deleted",
        ),
        pytest.param("delete", "purge", BEING_DELETED, id="purge while it is being deleted"),
        pytest.param("delete", "recover", BEING_DELETED, id="recover while it is being deleted"),
        pytest.param("delete settle purge", "purge", BEING_DELETED, id="purge while it is being purged"),
        pytest.param("delete settle recover", "purge", BEING_RECOVERED, id="purge while it is being recovered"),
        pytest.param("", "purge", NOT_DELETED, id="purge while it is live"),
        pytest.param("", "recover", NOT_DELETED, id="recover while it is live"),
    ],
)
def test_a_step_out_of_turn_is_refused(steps: str, step: str, refusal: tuple[int, str | None, str]) -> None:
    life = Life(deletion_delay=5)
    life.set()
    for each in steps.split():
        if each == "settle":
            life.pass_time(seconds=5)
        else:
            getattr(life, each)()

    assert life.refusal(step) == refusal


@pytest.mark.parametrize("step", ["delete", "recover", "purge"])
def test_an_unknown_name_is_not_found(step: str) -> None:
    status, _, message = Life().refusal(step)

    assert status == 404
    assert message.startswith("A secret with (name/id) db was not found in this key vault.")


class TestManaged:
    @pytest.mark.parametrize("step", ["set", "delete"])
    def test_a_certificates_secret_cannot_be_changed_by_hand(self, step: str) -> None:
        life = Life()
        life.store.set("db", "pfx", NOTHING, life.clock(), managed=True)

        status, _, message = life.refusal(step)

        assert (status, message) == (403, f"Operation {step} is not allowed on a secret managed by a certificate.")

    def test_its_certificate_gives_it_new_versions(self) -> None:
        life = Life()
        for value in ("old", "new"):
            life.store.set("db", value, NOTHING, life.clock(), managed=True)

        assert life.store.live("db").newest.value == "new"


class TestRestore:
    @pytest.mark.parametrize("steps", ["", "delete", "delete settle", "delete settle purge"])
    def test_a_name_in_any_use_is_a_conflict(self, steps: str) -> None:
        life = Life(deletion_delay=5)
        life.set()
        backed_up = life.store.live("db")
        for each in steps.split():
            if each == "settle":
                life.pass_time(seconds=5)
            else:
                getattr(life, each)()

        with pytest.raises(VaultRefused, match="409 Conflict: There was a conflict restoring the secret"):
            life.store.restore(backed_up)
