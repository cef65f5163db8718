"""The operator survives what breaks between it and Kubernetes."""

from typing import Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import eventually
from tests.e2e.lifecycle.harness import bind
from tests.faults.admission import refused_webhook
from tests.faults.api_proxy import Held, HiddenDeletions
from tests.faults.fault import Fault
from tests.faults.harness import BROKEN_SECONDS, HOME, World, check_log
from tests.faults.kubernetes_faults import FAULTS, OUTAGES, STRANDED

OUTAGE_SECONDS: Final = 90.0
"""kopf's own retries of a request take 54 seconds, and then it gives up."""

LONGEST_BLINDNESS: Final = 30.0
"""Seconds until a dead connection is noticed, at most."""


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault is not STRANDED], ids=str)
@scenario
def test_it_survives(world: World, fault: Fault) -> None:
    with world.instance() as instance:
        world.settle()
        world.survive(fault, seconds=OUTAGE_SECONDS if fault in OUTAGES else BROKEN_SECONDS)
    check_log(instance.running)


@scenario
def test_dead_connections_hide_changes_of_targets_for_half_a_minute(world: World) -> None:
    with world.instance() as instance:
        world.settle()
        with STRANDED.during(world):
            world.tamper("db")
            world.delete_target("web")
            # Without a rotation, only a new watch reports them.
            world.await_right()
        assert instance.api.longest_watch <= LONGEST_BLINDNESS
        world.check()


@scenario
def test_a_missed_deletion_is_noticed_by_the_next_write(world: World) -> None:
    with world.instance() as instance:
        world.settle()
        with instance.api.fault(HiddenDeletions()):
            before = world.content("db")
            world.delete_target("web")
            # The watch goes on behind the deletion.
            world.tamper("db")
            world.eventually(lambda: world.content("db") == before, "a later change has come")
        world.rotate()
        world.await_right()
        world.await_quiet()
        world.check()


@scenario
def test_an_immutable_secret_stays_while_no_other_can_be_created(world: World) -> None:
    with world.instance() as instance:
        world.settle(target={"immutable": True, "replaceImmutable": True})
        with refused_webhook(world, ["CREATE"]):
            polls = instance.running.metric("vaultsync_polls_total")
            world.rotate()
            eventually(lambda: instance.running.metric("vaultsync_polls_total") >= polls + 2, "two polls")
            assert {name for name in ("db", "web") if world.secret(name) is None} == set()
        world.await_right()
        world.await_quiet()
        world.check()


@scenario
def test_a_namespace_is_deleted_while_it_is_synced(world: World) -> None:
    bind(world.plane, world.helm, account="vaultsync", namespace=HOME, watched=[world.namespace])
    of_the_cluster = world.plane.user("vaultsync", world.rules)
    with world.instance(of_the_cluster, {"VAULTSYNC_INSTALLATION": f"vaultsync.{HOME}"}) as instance:
        world.settle()
        held = Held(methods=frozenset({"PATCH"}), path="/secrets/")
        with instance.api.fault(held):
            world.rotate()
            held.wait()
            world.model.is_doomed = True
            path = f"/api/v1/namespaces/{world.namespace}"
            world.api.delete(path)
        eventually(lambda: world.api.get(path) is None, "the namespace is deleted")
        eventually(lambda: instance.running.metric("vaultsync_vaultsecrets") == 0, "nothing is left to sync")
        assert instance.running.is_ready
        world.check()
    check_log(instance.running)
