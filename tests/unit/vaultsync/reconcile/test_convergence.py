"""Whatever happens to a VaultSecret, its target and its vault: a healthy world finds its peace."""

import asyncio
import itertools
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from kvsecrets.testing import VaultRefused
from tests.unit.vaultsync.world import AWAY, DB, RECHECK, World, a_world, entry
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL

TOKEN = entry("token", "api-token", optional=True)
SPECS = [(entry(), TOKEN), (entry("PASSWORD"),), (TOKEN, entry("again"), entry())]

HAPPENINGS: dict[str, Callable[[World, int], object]] = {
    "rotate": lambda world, n: world.rotate(f"value-{n}"),
    "rotate at once": lambda world, n: world.vault.set("db-password", f"hasty-{n}"),
    "set the optional one": lambda world, n: world.vault.set("api-token", f"token-{n}"),
    "delete the optional one": lambda world, _: world.vault.delete("api-token"),
    "disable": lambda world, _: world.vault.disable("db-password"),
    "enable": lambda world, _: world.vault.enable("db-password"),
    "close the door": lambda world, _: world.vault.close_door(),
    "open the door": lambda world, _: world.vault.open_door(),
    "deny listing": lambda world, _: world.vault.deny("list"),
    "deny reading": lambda world, _: world.vault.deny("get"),
    "throttle": lambda world, _: world.vault.throttle(retry_after=20),
    "fail": lambda world, _: world.vault.fail(),
    "change a value": lambda world, n: world.cluster.edit(DB, "kubectl", data={"password": f"hacked-{n}"}),
    "add a key": lambda world, n: world.cluster.edit(DB, "kubectl", data={f"extra-{n}": "x"}),
    "take our label off": lambda world, _: world.cluster.edit(DB, "kubectl", labels={MANAGED_BY_LABEL: None}),
    "spoil our annotation": lambda world, _: world.cluster.edit(DB, "argocd", annotations={APPLIED_ANNOTATION: "?"}),
    "delete the target": lambda world, _: world.cluster.delete(DB),
    "change the spec": lambda world, n: world.apply(*SPECS[n % 3], refreshInterval="10s"),
    "lose an answer": lambda world, _: setattr(world.cluster, "lost_answers", 1),
    "lose the cluster": lambda world, _: world.cluster.fail(AWAY),
    "find the cluster": lambda world, _: world.cluster.fail(None),
    "end the watches": lambda world, _: world.cluster.end_watches(),
    "forget the history": lambda world, _: world.cluster.forget_history(),
    "restart": lambda world, _: world.restart(),
    "poll": lambda world, _: world.poll(),
    "poll soon": lambda world, _: world.poll(1),
    "work": lambda world, _: world.work(),
    "reconcile": lambda world, _: world.reconcile(),
}


async def mend(world: World, rounds: int) -> None:
    """Let everybody be well, and let time go by; each poll meets one of the failures that are still planned."""
    world.cluster.fail(None)
    world.cluster.lost_answers = 0
    for permission in ("list", "get"):
        world.vault.allow(permission)
    world.vault.open_door()
    world.vault.enable("db-password")
    await world.later(RECHECK.total_seconds() / 2)
    for _ in range(rounds):
        await world.poll()


@settings(max_examples=60)
@given(steps=st.lists(st.sampled_from(sorted(HAPPENINGS)), max_size=10))
def test_whatever_happened_a_healthy_world_finds_its_peace_by_itself_with_the_target_as_it_should_be(
    steps: list[str],
) -> None:
    async def story() -> None:
        numbers = itertools.count()
        async with a_world() as world:
            world.apply(*SPECS[0])
            await world.work()
            for step in steps:
                try:
                    happened = HAPPENINGS[step](world, next(numbers))
                except (KeyError, VaultRefused):
                    continue  # there was nothing to do it to
                if asyncio.iscoroutine(happened):
                    await happened
            await mend(world, rounds=3 + len(steps))
            assert world.values() == wanted(world)
            assert world.ready().status == "True"
            await world.rests()

    asyncio.run(story())


def wanted(world: World) -> dict[str, str]:
    """What the target should hold, by the manifest and the vault alone."""
    values: dict[str, str] = {}
    for line in world.cluster.vault_secret(DB).spec.data:
        try:
            values[line.key] = world.vault.value(line.secret_name)
        except VaultRefused:
            assert line.optional
    return values
