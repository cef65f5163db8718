"""Which vaults are polled: those that somebody asks and that may be asked."""

from tests.builders import a_vault_secret
from tests.clocks import settle
from tests.unit.vaultsync.sources.scene import Scene, run_for
from vaultsync.sources.poller import Poller
from vaultsync.sources.pollers import Polls


class Pollers:
    """Pollers that are started and ended by `Polls`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.made: list[str] = []
        self.polls = Polls(self.make, scene.vaultsecrets, may_ask=lambda vault_url: "evil" not in vault_url)

    def make(self, vault_url: str) -> Poller:
        self.made.append(vault_url)
        return self.scene.poller


async def test_a_vault_is_polled_while_somebody_asks_it(scene: Scene) -> None:
    pollers = Pollers(scene)
    scene.vault.set("one", "x")
    scene.wants("user", "one")

    pollers.polls.adapt()
    pollers.polls.adapt()
    await settle()

    assert pollers.made == [scene.vault.url]
    assert pollers.polls.view(scene.vault.url).secrets.keys() == {"one"}
    assert pollers.polls.health(scene.vault.url) == scene.poller.health is not None

    scene.vaultsecrets.drop(a_vault_secret(metadata={"name": "user"}).key)
    pollers.polls.adapt()
    await run_for(scene, 300)

    assert len(scene.started) == 1
    assert pollers.polls.view(scene.vault.url).secrets == {}
    assert pollers.polls.health(scene.vault.url) is None


async def test_a_vault_outside_the_known_domains_is_never_spoken_to(scene: Scene) -> None:
    pollers = Pollers(scene)
    scene.vaultsecrets.put(a_vault_secret(vault_url="https://evil.example"))

    pollers.polls.adapt()
    pollers.polls.hurry("https://evil.example")
    await settle()

    assert pollers.made == []


async def test_stopping_ends_all_pollers(scene: Scene) -> None:
    pollers = Pollers(scene)
    scene.wants("user", "one")
    pollers.polls.adapt()
    await settle()

    await pollers.polls.stop()
    await run_for(scene, 300)

    assert len(scene.started) == 1
