"""Labels and annotations from the vault follow its tags and dates, without restarts and needless reads."""

from datetime import timedelta
from typing import Any, Final

from tests.harness import DB, MemoryHarness
from vaultsync.api import MANAGED_BY_LABEL, OWNER_NAME_LABEL, OWNER_UID_LABEL

FROM: Final = {
    "labels": {"owner": "{{ secrets.db-password.tags.owner }}"},
    "annotations": {"expires": "{{ secrets.db-password.expires | default: 'never' }}"},
}


def metadata(harness: MemoryHarness) -> tuple[Any, Any]:
    """The label and the annotation that come from the vault."""
    stored = harness.kube.without_data(DB)
    assert stored is not None
    found = stored["metadata"]
    return found["labels"].get("owner"), found["annotations"].get("expires")


async def in_sync(harness: MemoryHarness, **spec: Any) -> None:  # noqa: ANN401  parts of a spec are JSON
    harness.vault.set("db-password", "first", tags={"owner": "Team Shop"})
    harness.apply(target={"metadataFrom": FROM}, **spec)
    await harness.drain()
    await harness.poll()
    await harness.poll()
    await harness.assert_idle()
    harness.reset_counts()


async def test_a_changed_tag_is_written_without_a_restart(harness: MemoryHarness) -> None:
    harness.make_workload("web")
    await in_sync(harness, restart=[{"kind": "Deployment", "name": "web"}])
    assert metadata(harness) == ("Team-Shop", "never")

    harness.vault.tag("db-password", {"owner": "web", "other": "x"})
    await harness.poll()

    assert metadata(harness) == ("web", "never")
    assert harness.events == [("Normal", "Relabeled")]
    assert harness.kube.restarts == []
    assert harness.status().content_change_time is None
    await harness.poll()
    await harness.assert_idle()


async def test_a_date_that_is_set_is_written(harness: MemoryHarness) -> None:
    await in_sync(harness)
    expires = harness.clock.now + timedelta(days=90)

    harness.vault.set("db-password", "first", tags={"owner": "shop"}, expires_on=expires)
    await harness.poll()

    assert metadata(harness) == ("shop", f"{expires:%Y-%m-%dT%H:%M:%SZ}")


async def test_a_tag_that_no_template_uses_writes_nothing(harness: MemoryHarness) -> None:
    await in_sync(harness)

    harness.vault.tag("db-password", {"owner": "Team Shop", "note": "new"})
    await harness.poll()

    assert "apply_target" not in harness.writes
    assert harness.events == []


async def test_a_restart_reads_nothing(harness: MemoryHarness) -> None:
    await in_sync(harness)

    await harness.restart()
    await harness.poll()

    assert (harness.reads, harness.writes) == (0, {})


async def test_an_edited_label_is_restored(harness: MemoryHarness) -> None:
    await in_sync(harness)

    harness.kube.edit(DB, "mallory", labels={"owner": "somebody"})
    await harness.drain()

    assert metadata(harness) == ("Team-Shop", "never")


async def test_a_removed_tag_leaves_an_empty_label_and_the_value_in_sync(harness: MemoryHarness) -> None:
    await in_sync(harness)

    harness.vault.set("db-password", "second", tags={})
    await harness.poll()

    assert metadata(harness) == ("", "never")
    assert harness.values() == {"password": "second"}


async def test_a_tag_that_a_template_cannot_use_does_not_keep_the_value_from_following(harness: MemoryHarness) -> None:
    harness.vault.set("db-password", "first", tags={"days": "30"})
    harness.apply(target={"metadataFrom": {"labels": {"owner": "{{ secrets.db-password.tags.days | plus: 1 }}"}}})
    await harness.drain()
    assert metadata(harness)[0] == "31"

    harness.vault.set("db-password", "second", tags={"days": "some"})
    await harness.poll()

    assert metadata(harness)[0] == ""
    assert harness.values() == {"password": "second"}
    assert "Template of label owner, line 1, column 36: a whole number" in harness.kube.events[-1].message


# Labels of the VaultSecret


COPYING: Final = {"copyLabels": ["team", "example.com/owner"]}


def labels(harness: MemoryHarness) -> dict[str, str]:
    """The Secret's labels that are not vaultsync's own."""
    stored = harness.kube.without_data(DB)
    assert stored is not None
    found = stored["metadata"]["labels"]
    return {key: text for key, text in found.items() if key not in {MANAGED_BY_LABEL, OWNER_UID_LABEL}}


async def copied(harness: MemoryHarness, **given: str) -> dict[str, str]:
    """Apply the VaultSecret with these labels; return those of the Secret."""
    harness.apply(labels=given, target=COPYING, restart=[{"kind": "Deployment", "name": "web"}])
    await harness.drain()
    return labels(harness)


async def test_the_secret_has_the_vaultsecrets_name_and_of_its_labels_those_that_are_asked_for(
    harness: MemoryHarness,
) -> None:
    harness.make_workload("web")
    harness.vault.set("db-password", "first")

    assert await copied(harness, team="a", other="b") == {OWNER_NAME_LABEL: "db", "team": "a"}


async def test_a_label_that_changes_or_goes_does_so_in_the_secret_without_a_restart(harness: MemoryHarness) -> None:
    harness.make_workload("web")
    harness.vault.set("db-password", "first")
    await copied(harness, team="a")

    assert await copied(harness, team="b") == {OWNER_NAME_LABEL: "db", "team": "b"}
    assert await copied(harness) == {OWNER_NAME_LABEL: "db"}
    assert harness.kube.restarts == []
    harness.reset_counts()
    await copied(harness, other="x")
    assert harness.writes == {}


async def test_a_label_that_another_writer_changes_in_the_secret_is_restored(harness: MemoryHarness) -> None:
    harness.make_workload("web")
    harness.vault.set("db-password", "first")
    await copied(harness, team="a")

    harness.kube.edit(DB, "kubectl", labels={"team": "mine", OWNER_NAME_LABEL: None})
    await harness.drain()

    assert labels(harness) == {OWNER_NAME_LABEL: "db", "team": "a"}
