"""What tests of triggers share."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.vaultsync.sources.scene import Scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.http.aclose()
