"""Status and events: each is written once, and a failure is reported and retried."""

from dataclasses import replace

import pytest

from tests.builders import KEY, READ_AT, a_granted, a_status
from tests.fakes import FakeKube
from tests.harness import UNAVAILABLE, RecordedEvents
from tests.manifests import manifest, spec
from vaultsync.api import REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.events import EventWriter
from vaultsync.controller.report import write_report
from vaultsync.errors import ObjectGone, Reason
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.events import Event
from vaultsync.status.outcome import Failed

ROTATED = Event("Normal", "Rotated", "Rotated it.")
STALE = Event("Warning", "Stale", "It is stale.")


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def recorder() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture
def writer(kube: FakeKube) -> EventWriter:
    """What creates events, once it is drained."""
    return EventWriter(kube, now=lambda: READ_AT)


@pytest.fixture
def vault_secret(kube: FakeKube) -> VaultSecret:
    """A VaultSecret in the cluster."""
    return kube.put_vault_secret(manifest(spec()))


@pytest.fixture
def vaultsecrets(vault_secret: VaultSecret) -> VaultSecretCache:
    """The cache that has it."""
    cache = VaultSecretCache()
    cache.put(vault_secret, a_granted())
    return cache


def cached(vaultsecrets: VaultSecretCache) -> VaultSecret:
    found = vaultsecrets.get(KEY)
    assert found is not None
    return found


async def test_a_status_is_written_and_cached_at_once_and_events_are_created_later(
    kube: FakeKube,
    vaultsecrets: VaultSecretCache,
    recorder: RecordedEvents,
    vault_secret: VaultSecret,
    writer: EventWriter,
) -> None:
    failure = await write_report(kube, vaultsecrets, recorder, vault_secret, a_status(), [ROTATED, STALE], writer)

    assert failure is None
    assert not kube.events
    await writer.drain()
    assert cached(vaultsecrets).status == kube.vault_secret(KEY).status == a_status()
    assert [event.reason for event in kube.events] == ["Rotated", "Stale"]


async def test_an_unchanged_status_is_not_written(
    kube: FakeKube,
    vaultsecrets: VaultSecretCache,
    recorder: RecordedEvents,
    vault_secret: VaultSecret,
    writer: EventWriter,
) -> None:
    await write_report(kube, vaultsecrets, recorder, vault_secret, a_status(), [], writer)
    kube.calls.clear()

    await write_report(kube, vaultsecrets, recorder, cached(vaultsecrets), a_status(), [], writer)

    assert not kube.calls
    assert recorder.written_reports == 1


async def test_a_report_that_cannot_be_written_is_a_failure_and_is_recorded(
    kube: FakeKube,
    vaultsecrets: VaultSecretCache,
    recorder: RecordedEvents,
    vault_secret: VaultSecret,
    writer: EventWriter,
) -> None:
    kube.fail(UNAVAILABLE)

    failure = await write_report(kube, vaultsecrets, recorder, vault_secret, a_status(), [ROTATED], writer)

    assert failure == Failed(Reason.CLUSTER_UNAVAILABLE, "The Kubernetes API does not answer.")
    assert (recorder.failed_reports, recorder.written_reports) == ([UNAVAILABLE], 0)
    await writer.drain()
    assert not kube.events


async def test_nothing_is_reported_of_a_vaultsecret_that_is_gone(
    kube: FakeKube,
    vaultsecrets: VaultSecretCache,
    recorder: RecordedEvents,
    vault_secret: VaultSecret,
    writer: EventWriter,
) -> None:
    kube.delete_vault_secret(KEY)

    with pytest.raises(ObjectGone):
        await write_report(kube, vaultsecrets, recorder, vault_secret, a_status(since=READ_AT), [STALE], writer)

    await writer.drain()
    assert (kube.events, recorder.failed_reports) == ([], [])


@pytest.mark.parametrize("change", ["spec", "annotation"])
async def test_what_a_user_changes_at_the_same_time_is_left_to_the_watch(
    kube: FakeKube,
    vaultsecrets: VaultSecretCache,
    recorder: RecordedEvents,
    vault_secret: VaultSecret,
    change: str,
    writer: EventWriter,
) -> None:
    """Otherwise the watch's event would be older than what is cached, and be ignored."""
    changed = manifest(spec(refreshInterval="10m") if change == "spec" else spec())
    changed["metadata"]["annotations"] = {REFRESH_ANNOTATION: "now"} if change == "annotation" else {}
    by_user = kube.put_vault_secret(changed)

    await write_report(kube, vaultsecrets, recorder, vault_secret, a_status(), [], writer)

    assert cached(vaultsecrets).status == a_status()
    assert int(cached(vaultsecrets).metadata.resource_version) < int(by_user.metadata.resource_version)

    vaultsecrets.put(by_user, a_granted())  # which does not have our status yet

    assert (cached(vaultsecrets).metadata, cached(vaultsecrets).status) == (by_user.metadata, a_status())


async def test_an_action_is_reported_even_if_the_status_cannot_be_written(
    kube: FakeKube,
    vaultsecrets: VaultSecretCache,
    recorder: RecordedEvents,
    vault_secret: VaultSecret,
    writer: EventWriter,
) -> None:
    """It could not be reported afterwards: the next reconcile finds everything in place."""
    action = replace(ROTATED, records_action=True)
    kube.delete_vault_secret(KEY)

    with pytest.raises(ObjectGone):
        await write_report(kube, vaultsecrets, recorder, vault_secret, a_status(), [STALE, action], writer)

    await writer.drain()
    assert [event.reason for event in kube.events] == ["Rotated"]
