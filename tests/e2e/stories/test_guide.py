"""The guides are true: each story is played as it is told, and all is seen that they show."""

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.scene import Scene
from tests.e2e.stories.player import Player
from tests.e2e.stories.told import Told, told
from tests.e2e.together import story

_DOCS: Final = Path(__file__).parents[3] / "docs"


@story
@pytest.mark.parametrize("told", told(_DOCS / "guide.md"), ids=lambda told: told.title)
def test_the_secret_holds_what_the_guide_shows(scene: Scene, told: Told) -> None:
    player = Player(scene)

    player.play(told)

    assert scene.await_reason("Synced", player.name).status == "True"


@story
@pytest.mark.parametrize("told", told(_DOCS / "changes.md"), ids=lambda told: told.title)
def test_when_the_world_changes_people_see_what_is_told_of(scene: Scene, told: Told) -> None:
    Player(scene).play(told)
