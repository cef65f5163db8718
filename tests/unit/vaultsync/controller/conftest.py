"""What the stories of one VaultSecret begin with."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.vaultsync.world import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as world:
        yield world


@pytest.fixture
async def synced(world: World) -> World:
    """A world with one VaultSecret in sync, and nothing counted yet."""
    world.apply()
    await world.work()
    await world.poll()
    world.count_anew()
    return world
