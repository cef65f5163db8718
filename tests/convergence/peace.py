"""What holds when all is well again: each target is what its wish and the vault make of it, and nothing is left."""

from datetime import timedelta

from tests.convergence.story import MANY, Story
from tests.convergence.wish import TARGETS, WORKLOAD
from tests.stage import NOTICE, RECHECK
from vaultsync.api import MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import Condition

ROUND = 610.0
"""Seconds between polls: longer than any interval or retry of the story."""


async def find_peace(story: Story) -> None:
    """Mend the world, let time go by, and see that everything is as it should be."""
    await mend(story)
    check_target(story)
    check_conditions(story)
    check_left_overs(story)
    check_many(story)
    await check_rest(story)


async def mend(story: Story) -> None:
    """Let everybody be well but for the secrets, which stay as they were left."""
    world = story.world
    world.mend_cluster()
    for permission in ("list", "get"):
        world.vault.allow(permission)
    world.vault.open_door()
    world.vault.open_firewall()
    if not story.was_released():
        story.most_return()
    rounds, story.failures_to_come = 4 + story.failures_to_come, 0
    await story.operator(world.poll(RECHECK.total_seconds() + ROUND))
    for _ in range(rounds):
        await story.operator(world.poll(ROUND))
    if world.ready().reason == "DeletionHeld":
        story.release_all()
    await story.operator(world.poll(7200))
    for _ in range(2):
        await story.operator(world.poll(ROUND))


def check_target(story: Story) -> None:
    """The target holds what an oracle says, or the condition says why not."""
    reason, values = _ready(story).reason, story.world.values(story.wish.target)
    if story.wish.suspend:
        assert reason == "Suspended"
        return
    if story.is_a_strangers():
        assert reason == "TargetConflict"
        return
    verdict = story.confirmed_deletions(_gone(story))
    if verdict.pruned:
        assert (values, reason) in {(None, story.safe.why_absent(name)) for name in _gone(story)}
    elif verdict.reasons:
        assert reason in verdict.reasons
    elif _is_stuck(story) and values not in verdict.data:
        assert reason == "TargetImmutable"
    elif reason == "TargetImmutable":
        assert _is_stuck(story)
        assert not story.wish.immutable
    else:
        assert (reason, values in verdict.data) == ("Synced", True), f"{values} is none of {verdict.data}"


def _gone(story: Story) -> set[str]:
    """What the status tells to be gone is gone indeed, and was for long enough."""
    missing = {one.secret_name for one in story.world.status().missing}
    if not story.wish.suspend:
        assert {name for name in missing if story.safe.there(name) is not None} == set()
    return missing & story.gone_for_long()


def _is_stuck(story: Story) -> bool:
    """Whether Kubernetes lets nobody change what the target holds."""
    there = story.look(story.wish.target) or {}
    return bool(there.get("immutable")) and not story.wish.replace


def check_conditions(story: Story) -> None:
    """The other conditions follow from the outcome, the clock and the secrets' dates."""
    status = story.world.status()
    assert status.observed_generation == story.world.hands.vault_secret(story.world.key_of("db")).metadata.generation
    stale, expiring = (story.world.condition(kind) for kind in ("Stale", "Expiring"))
    match _ready(story).status:
        case "True":
            assert stale.status == "False"
            assert (expiring.status == "True") == _expires_soon(story), expiring.message
        case "False":
            assert stale.status == ("True" if status.entries else "Unknown")
        case _:
            assert stale.status == "Unknown"
    if story.wish.restarts and not story.wish.suspend:
        (workload,) = status.restarts
        assert (workload.name, workload.problem) == (WORKLOAD["name"], None)
        assert status.content_change_time is None or workload.at > status.content_change_time


def _expires_soon(story: Story) -> bool:
    names = {entry.secret_name.lower() for entry in story.world.status().entries if entry.version is not None}
    newest = [secret.newest for name in names if (secret := story.safe.there(name)) is not None]
    limit = story.world.clock() + NOTICE
    return any(version.expires is not None and version.expires <= limit for version in newest)


def check_left_overs(story: Story) -> None:
    """No Secret of ours is left under another name, unless somebody has made it unknowable whose it was."""
    if _ready(story).status != "True":
        return
    uid = story.world.hands.vault_secret(story.world.key_of("db")).metadata.uid
    for name in set(TARGETS) - {story.wish.target}:
        labels = ((story.look(name) or {}).get("metadata") or {}).get("labels") or {}
        assert not (labels.get(OWNER_UID_LABEL) == uid and MANAGED_BY_LABEL in labels), f"Secret {name} was left over"


def check_many(story: Story) -> None:
    assert story.world.ready("bulk").reason == "Synced"
    there = {name: value for name, value in story.many().items() if story.safe.there(name) is not None}
    assert story.world.values("bulk") == there
    assert len(there) in {0, len(MANY)}


async def check_rest(story: Story) -> None:
    """Another poll and another reconcile of all write and tell nothing; and read nothing, if all is in sync."""
    world = story.world
    world.count_anew()
    await story.operator(world.poll(timedelta(minutes=1).total_seconds()))
    for name in world.names:
        await story.operator(world.reconcile(name))
    assert (world.writes, world.events) == ({}, [])
    assert _ready(story).status == "False" or world.reads == 0


def _ready(story: Story) -> Condition:
    return story.world.ready()
