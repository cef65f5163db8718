"""What is told to people, on a cluster in memory: each thing once, and what comes of it when that fails."""

from dataclasses import replace

import pytest

from tests.builders import KEY, READ_AT, a_status
from tests.fakes import FakeKube
from tests.manifests import manifest, spec
from vaultsync.api import REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.controller.report import Teller
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.events import Event
from vaultsync.status.outcome import Failed

ROTATED = Event("Normal", "Rotated", "Rotated it.")
STALE = Event("Warning", "Stale", "It is stale.")


class Log:
    """What could not be told."""

    def __init__(self) -> None:
        self.errors: list[SyncError] = []

    def untold(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        self.errors.append(error)


class Scene:
    """A VaultSecret in a cluster and in the inventory, and who tells of it."""

    def __init__(self) -> None:
        self.cluster, self.vaultsecrets, self.log = FakeKube(), VaultSecretCache(), Log()
        self.vault_secret: VaultSecret = self.cluster.put_vault_secret(manifest(spec()))
        self.vaultsecrets.put(self.vault_secret)
        self.teller = Teller(self.cluster, self.vaultsecrets, self.log)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_status_is_written_and_known_at_once_and_events_are_posted(scene: Scene) -> None:
    assert await scene.teller.tell(scene.vault_secret, a_status(), [ROTATED, STALE]) is None

    known = scene.vaultsecrets.get(KEY)
    assert known is not None
    assert known.status == scene.cluster.vault_secret(KEY).status == a_status()
    assert [event.reason for event in scene.cluster.events] == ["Rotated", "Stale"]


async def test_a_status_that_says_nothing_new_is_not_written(scene: Scene) -> None:
    await scene.teller.tell(scene.vault_secret, a_status(), [])
    known = scene.vaultsecrets.get(KEY)
    assert known is not None
    scene.cluster.writes.clear()

    await scene.teller.tell(known, a_status(), [])

    assert not scene.cluster.writes


async def test_what_cannot_be_told_is_a_failure_and_is_logged(scene: Scene) -> None:
    away = SyncError(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")
    scene.cluster.fail(away)

    untold = await scene.teller.tell(scene.vault_secret, a_status(), [ROTATED])

    assert untold == Failed(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")
    assert scene.log.errors == [away]
    assert not scene.cluster.events


async def test_of_what_is_gone_nothing_is_told(scene: Scene) -> None:
    scene.cluster.delete_vault_secret(KEY)

    with pytest.raises(ObjectGone):
        await scene.teller.tell(scene.vault_secret, a_status(since=READ_AT), [])


@pytest.mark.parametrize("change", ["spec", "annotation"])
async def test_what_people_change_in_the_same_moment_is_left_for_the_watch_to_tell(scene: Scene, change: str) -> None:
    """Or the watch's word of it would be older than what is known, and go unheard."""
    changed = manifest(spec(refreshInterval="10m") if change == "spec" else spec())
    changed["metadata"]["annotations"] = {REFRESH_ANNOTATION: "now"} if change == "annotation" else {}
    theirs = scene.cluster.put_vault_secret(changed)

    await scene.teller.tell(scene.vault_secret, a_status(), [])

    known = scene.vaultsecrets.get(KEY)
    assert known is not None
    assert known.status == a_status()
    assert int(known.metadata.resource_version) < int(theirs.metadata.resource_version)

    scene.vaultsecrets.put(theirs)  # which knows nothing of our status yet

    heard = scene.vaultsecrets.get(KEY)
    assert heard is not None
    assert (heard.metadata, heard.status) == (theirs.metadata, a_status())


async def test_what_was_done_is_told_even_if_the_status_cannot_be_written(scene: Scene) -> None:
    """Nobody could tell it afterwards: the next look finds everything in place."""
    deed, word = replace(ROTATED, records_action=True), STALE
    scene.cluster.delete_vault_secret(KEY)

    with pytest.raises(ObjectGone):
        await scene.teller.tell(scene.vault_secret, a_status(), [word, deed])

    assert [event.reason for event in scene.cluster.events] == ["Rotated"]
