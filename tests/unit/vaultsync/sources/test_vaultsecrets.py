"""What the watch of VaultSecrets reports, and what follows: what is cached, what is woken, which vaults are polled."""

from typing import Any

import pytest

from tests.builders import ACCESS, VAULT, an_access
from tests.harness import MemoryHarness, key_of
from tests.manifests import as_stored, manifest, spec
from vaultsync.api import REFRESH_ANNOTATION, RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.controller.turns import Priority
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.state.vaultsecrets import UnreadableVaultSecret

OTHER = "https://other.vault.azure.net"
Body = dict[str, Any]
Woken = list[tuple[str, Priority]]


def body(
    name: str = "db",
    *,
    resource_version: int = 7,
    generation: int = 1,
    uid: str = "",
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    **changes: object,
) -> Body:
    """Return a VaultSecret as the watch reports it; `changes` are to its spec."""
    written = manifest(spec(**changes), name=name)
    stored = {"resourceVersion": str(resource_version), "generation": generation, "uid": uid or f"uid-{name}"}
    written_by_users = {"annotations": annotations or {}, "labels": labels or {}}
    return as_stored({**written, "metadata": written["metadata"] | stored | written_by_users})


def terminating(reported: Body) -> Body:
    """Return the same while it is being deleted."""
    return {**reported, "metadata": reported["metadata"] | {"deletionTimestamp": "2026-03-01T12:30:00Z"}}


@pytest.fixture
def source(harness: MemoryHarness) -> VaultSecretSource:
    return harness.controller.source


def cached(harness: MemoryHarness, name: str = "db") -> VaultSecret:
    found = harness.state.vaultsecrets.get(key_of(name))
    assert found is not None
    return found


def take(woken: Woken) -> Woken:
    """Return what was woken since the last time."""
    taken = sorted(woken)
    woken.clear()
    return taken


def rescheduled(harness: MemoryHarness) -> bool:
    """Return whether a vault's poller was rescheduled since the last time."""
    changed = harness.state.vaults.requests(ACCESS).changed
    was_set = changed.is_set()
    changed.clear()
    return was_set


async def test_a_new_vaultsecret_is_cached_and_woken_and_its_poller_rescheduled(
    harness: MemoryHarness, source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(body())

    assert cached(harness).spec.vault_url == VAULT
    assert woken == [("db", Priority.NEW)]
    assert rescheduled(harness)


async def test_one_that_was_synced_before_a_restart_has_low_priority(
    harness: MemoryHarness, source: VaultSecretSource, woken: Woken
) -> None:
    status = {"observedGeneration": 3, "target": {"name": "db"}}
    source.handle_listed({**body("synced", generation=3), "status": status})
    source.handle_listed({**body("edited", generation=4), "status": status})
    source.handle_listed({**body("failed", generation=4), "status": {"observedGeneration": 3}})

    assert take(woken) == [
        ("edited", Priority.URGENT),
        ("failed", Priority.NEW),
        ("synced", Priority.ROUTINE),
    ]
    assert not harness.resync_requested


async def test_a_changed_spec_is_woken(harness: MemoryHarness, source: VaultSecretSource, woken: Woken) -> None:
    source.handle_changed(body())
    take(woken)
    rescheduled(harness)

    source.handle_changed(body(resource_version=8, generation=2, refreshInterval="10s"))

    assert take(woken) == [("db", Priority.NEW)]
    assert rescheduled(harness)


@pytest.mark.parametrize("annotation", [REFRESH_ANNOTATION, RELEASE_ANNOTATION])
async def test_an_annotation_by_which_a_user_requests_something_is_woken(
    source: VaultSecretSource, woken: Woken, annotation: str
) -> None:
    source.handle_changed(body())
    take(woken)

    source.handle_changed(body(resource_version=8, annotations={annotation: "now"}))
    assert take(woken) == [("db", Priority.NEW)]
    source.handle_changed(body(resource_version=9, annotations={annotation: "now", "note": "x"}))

    assert take(woken) == []


async def test_a_changed_label_is_woken_if_the_secret_has_it_too(source: VaultSecretSource, woken: Woken) -> None:
    copying = {"copyLabels": ["team"]}
    source.handle_changed(body(labels={"team": "a"}, target=copying))
    take(woken)

    source.handle_changed(body(resource_version=8, labels={"team": "b"}, target=copying))
    assert take(woken) == [("db", Priority.NEW)]
    source.handle_changed(body(resource_version=9, labels={"team": "b", "note": "x"}, target=copying))

    assert take(woken) == []


async def test_a_changed_status_is_cached_and_wakes_nothing(
    harness: MemoryHarness, source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(body())
    take(woken)

    source.handle_changed({**body(resource_version=8), "status": {"observedGeneration": 1}})

    assert cached(harness).status.observed_generation == 1
    assert take(woken) == []


async def test_an_older_object_is_ignored(harness: MemoryHarness, source: VaultSecretSource, woken: Woken) -> None:
    source.handle_changed(body(resource_version=10, generation=2))
    take(woken)

    source.handle_changed(body(resource_version=9, generation=1))

    assert cached(harness).metadata.generation == 2
    assert take(woken) == []


async def test_resource_versions_are_compared_as_numbers(source: VaultSecretSource, woken: Woken) -> None:
    source.handle_changed(body(resource_version=9))
    take(woken)

    source.handle_changed(body(resource_version=10, generation=2))

    assert take(woken) == [("db", Priority.NEW)]


async def test_one_that_was_created_again_under_the_same_name_is_woken_and_not_forgotten_with_the_first(
    harness: MemoryHarness, source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(body(uid="first"))
    take(woken)

    source.handle_changed(body(uid="second", resource_version=8))
    source.forget(key_of("db"), "first")
    source.handle_deleted(body(uid="first"))

    assert cached(harness).metadata.uid == "second"
    assert take(woken) == [("db", Priority.NEW)]


async def test_one_that_was_deleted_is_forgotten_with_its_place_in_the_queue(
    harness: MemoryHarness, source: VaultSecretSource
) -> None:
    source.handle_changed(body())
    assert harness.controller.queue.depth == 1

    source.handle_deleted(body())

    assert harness.state.vaultsecrets.get(key_of("db")) is None
    assert harness.controller.queue.depth == 0
    assert harness.state.vaultsecrets.accesses() == set()


async def test_one_that_is_being_deleted_is_forgotten(harness: MemoryHarness, source: VaultSecretSource) -> None:
    source.handle_changed(body())

    source.handle_changed(terminating(body(resource_version=8)))
    source.handle_listed(terminating(body(resource_version=8)))

    assert harness.state.vaultsecrets.find(key_of("db")) is None
    assert harness.controller.queue.depth == 0


async def test_the_deletion_of_an_unknown_vaultsecret_changes_nothing(source: VaultSecretSource, woken: Woken) -> None:
    source.forget(key_of("unknown"), "uid")
    source.handle_deleted(body("unknown"))

    assert take(woken) == []


async def test_vaultsecrets_that_want_the_target_of_a_deleted_one_are_woken(
    source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(body())
    source.handle_changed(body("competing", target={"name": "db"}))
    take(woken)

    source.handle_deleted(body())

    assert take(woken) == [("competing", Priority.NEW)]


async def test_vaultsecrets_that_want_the_old_or_the_new_target_of_one_that_moves_are_woken(
    source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(body())
    source.handle_changed(body("wants-the-old", target={"name": "db"}))
    source.handle_changed(body("wants-the-new", target={"name": "new"}))
    source.handle_changed(body("bystander"))
    take(woken)

    source.handle_changed(body(resource_version=8, generation=2, target={"name": "new"}))

    assert {name for name, _ in take(woken)} == {"db", "wants-the-old", "wants-the-new"}


async def test_one_that_asks_another_vault_has_that_polled_and_the_old_one_no_more(
    harness: MemoryHarness, source: VaultSecretSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close_vault(_: str) -> None:
        """The vaults are closed in the tests of pollers."""

    monkeypatch.setattr(harness.vaults, "close_vault", close_vault)
    harness.run_beside(harness.controller.pollers.run())
    source.handle_changed(body())
    await harness.settle()
    assert harness.traced.polled == [VAULT]

    source.handle_changed(body(resource_version=8, generation=2, vaultUrl=OTHER))
    await harness.settle()

    assert harness.traced.polled == [VAULT, OTHER]
    assert (harness.state.vaults.view(ACCESS).polls, harness.state.vaults.view(an_access(OTHER, "other")).polls) == (
        0,
        1,
    )


# those whose spec is not accepted


def unreadable(**metadata: Any) -> Body:  # noqa: ANN401  they are passed on
    """Return one that was admitted by another version of the schema."""
    return body(vaultUrl="http://MARKED", **metadata)


async def test_one_whose_spec_is_not_accepted_is_woken_to_report_that_and_not_synced_any_more(
    harness: MemoryHarness, source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(body())
    take(woken)

    source.handle_changed(unreadable(resource_version=8, generation=2))

    found = harness.state.vaultsecrets.find(key_of("db"))
    assert isinstance(found, UnreadableVaultSecret)
    assert found.error.startswith("spec.vaultUrl: ")
    assert "MARKED" not in found.error
    assert harness.state.vaultsecrets.accesses() == set()
    assert take(woken) == [("db", Priority.NEW)]


async def test_one_whose_spec_is_accepted_again_is_synced_again(
    harness: MemoryHarness, source: VaultSecretSource, woken: Woken
) -> None:
    source.handle_changed(unreadable())
    take(woken)

    source.handle_changed(body(resource_version=8, generation=2))

    assert cached(harness).metadata.generation == 2
    assert harness.state.vaultsecrets.unreadable(key_of("db")) is None
    assert take(woken) == [("db", Priority.NEW)]


@pytest.mark.parametrize("deletion", ["deleted", "terminating", "missed"])
async def test_one_whose_spec_is_not_accepted_is_forgotten_when_it_is_deleted(
    harness: MemoryHarness, source: VaultSecretSource, deletion: str
) -> None:
    source.handle_changed(unreadable())
    later = unreadable(resource_version=8)

    match deletion:
        case "deleted":
            source.handle_deleted(later)
        case "terminating":
            source.handle_changed(terminating(later))
        case "missed":
            harness.kube.resource_version = 9
            await harness.controller.resync.resync()

    assert harness.state.vaultsecrets.find(key_of("db")) is None
    assert harness.controller.queue.depth == 0


# when a resync is requested


async def test_a_list_that_brings_what_is_cached_requests_a_resync(
    harness: MemoryHarness, source: VaultSecretSource
) -> None:
    source.handle_listed(body())
    source.handle_listed(unreadable(name="unreadable"))
    assert not harness.resync_requested

    source.handle_listed(body())

    assert harness.resync_requested


async def test_a_list_that_brings_an_unreadable_one_again_requests_a_resync_too(
    harness: MemoryHarness, source: VaultSecretSource
) -> None:
    source.handle_listed(unreadable())
    source.handle_listed(unreadable())

    assert harness.resync_requested


@pytest.mark.parametrize(
    ("deleted", "requested"),
    [(body(onDelete="Retain"), True), (body(onDelete="Delete"), False), (body(), False)],
    ids=["it leaves its target behind", "its target is deleted with it", "so by default"],
)
async def test_a_deletion_that_leaves_a_target_behind_requests_a_resync(
    harness: MemoryHarness, source: VaultSecretSource, deleted: Body, requested: bool
) -> None:
    source.handle_changed(deleted)

    source.handle_deleted(deleted)

    assert harness.state.vaultsecrets.get(key_of("db")) is None
    assert harness.resync_requested is requested


async def test_one_that_was_being_deleted_requests_a_resync_once_it_is_deleted(
    harness: MemoryHarness, source: VaultSecretSource
) -> None:
    source.handle_changed(body(onDelete="Retain"))
    source.handle_changed(terminating(body(onDelete="Retain", resource_version=8)))
    assert not harness.resync_requested

    source.handle_deleted(terminating(body(onDelete="Retain", resource_version=8)))

    assert harness.resync_requested


async def test_a_list_has_no_order_until_an_event_follows(harness: MemoryHarness, source: VaultSecretSource) -> None:
    def is_listing() -> bool:
        return harness.state.vaultsecrets.is_listing

    source.handle_listed(body("one"))
    assert is_listing()
    source.handle_changed(body("two", resource_version=8))
    assert not is_listing()

    source.handle_listed(body("one", resource_version=9))
    source.handle_deleted(body("two", resource_version=10))
    assert not is_listing()


async def test_what_list_and_watch_have_brought_counts_as_observed_also_deletions_and_what_is_known(
    harness: MemoryHarness, source: VaultSecretSource
) -> None:
    vaultsecrets = harness.state.vaultsecrets

    source.handle_listed(body("one", resource_version=7))
    assert vaultsecrets.observed_version == 7
    written = VaultSecret.parse(body("one", resource_version=8))
    vaultsecrets.record_status(VaultSecretMeta(metadata=written.metadata, status=written.status))
    assert vaultsecrets.newest_version() == 8
    assert vaultsecrets.observed_version == 7
    source.handle_changed(body("one", resource_version=8))
    assert vaultsecrets.observed_version == 8
    source.handle_changed(terminating(body("one", resource_version=9)))
    assert vaultsecrets.observed_version == 9
    source.handle_deleted(body("one", resource_version=10))
    assert vaultsecrets.observed_version == 10

    source.handle_listed(body("two", resource_version=3))
    assert vaultsecrets.observed_version == 3
    source.handle_listed(body("three", resource_version=2))
    assert vaultsecrets.observed_version == 3
    vaultsecrets.invalidate_all()
    assert vaultsecrets.observed_version == 0


@pytest.mark.parametrize("name", ["one", "unknown"])
@pytest.mark.parametrize("is_deleted", [False, True])
async def test_there_is_no_position_while_an_event_could_not_be_handled(
    harness: MemoryHarness, source: VaultSecretSource, monkeypatch: pytest.MonkeyPatch, name: str, *, is_deleted: bool
) -> None:
    def fail(_: object) -> None:
        raise KeyError("a bug")

    source.handle_changed(body("one", resource_version=7))
    with monkeypatch.context() as patched:
        patched.setattr(VaultSecret, "parse", fail)
        with pytest.raises(KeyError):
            source.handle_changed(body(name, resource_version=8))
    assert harness.state.position is None
    written = VaultSecret.parse(body("one", resource_version=9))
    harness.state.vaultsecrets.record_status(VaultSecretMeta(metadata=written.metadata, status=written.status))
    assert harness.state.vaultsecrets.newest_version() == 9
    source.handle_changed(body("another", resource_version=10))
    assert harness.state.position is None

    (source.handle_deleted if is_deleted else source.handle_changed)(body(name, resource_version=11))
    assert harness.state.position is not None
