"""What a fault hides is not absent: previous versions and found secrets keep their keys."""

from collections.abc import Set as AbstractSet

from tests.e2e.concurrency import scenario
from tests.e2e.harness import entry
from tests.faults.harness import World
from tests.faults.journal import Place


def written_keys(world: World, name: str) -> list[AbstractSet[str]]:
    """The keys of a Secret after each write, without its deletions by users."""
    world.cluster.journal.await_present()
    place = Place.secret(world.namespace, name)
    writes = world.cluster.journal.of_namespace(world.namespace)
    return [(write.state.get("data") or {}).keys() for write in writes if write.place == place and write.state]


@scenario
def test_a_404_for_a_version_that_is_listed_keeps_its_key(world: World) -> None:
    # Versions of the same second have no order.
    older, newer = world.put_long_ago("db"), world.put_long_ago("db")
    world.apply(entry(source="db", previousKey="previous"), name="db")
    world.await_content("db", password=newer, previous=older)

    for _ in range(2):
        older, newer = newer, world.put_long_ago("db")
        world.vault.break_("reply", status=404, body='{"error": {"code": "SecretNotFound"}}', kind="version", calls=2)
        world.await_content("db", password=newer, previous=older)
    world.vault.mend()

    assert all(keys == {"password", "previous"} for keys in written_keys(world, "db"))


@scenario
def test_a_target_is_not_created_again_from_a_listing_that_skips(world: World) -> None:
    found = {f"app-{number}": world.put(f"app-{number}") for number in range(3)}
    world.apply(name="app", data=[], dataFrom=[{"find": {"names": "app-*"}}])
    world.await_content("app", **found)

    world.vault.break_("relisted", kind="list", change="skip")
    world.await_calls("list", more=2)
    world.delete_target("app")
    world.await_calls("list", more=2)
    world.vault.mend()

    world.await_content("app", **found)
    assert all(keys == found.keys() for keys in written_keys(world, "app"))
