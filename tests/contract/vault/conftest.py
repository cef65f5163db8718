"""Opens a stage for each scenario, six times over: each client before each kind of vault."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Unpack

import pytest

from tests.contract.vault.stages import Open, Stage, in_memory, served, vendors
from tests.emulator.client import Emulator
from tests.emulator.options import VaultOptions


@pytest.fixture(
    params=[
        pytest.param(partial(in_memory, aio=False), id="kvsecrets in process"),
        pytest.param(partial(in_memory, aio=True), id="kvsecrets in process, asyncio"),
        pytest.param(partial(served, aio=False), id="kvsecrets"),
        pytest.param(partial(served, aio=True), id="kvsecrets, asyncio"),
        pytest.param(partial(vendors, aio=False), id="azure-keyvault-secrets"),
        pytest.param(partial(vendors, aio=True), id="azure-keyvault-secrets, asyncio"),
    ]
)
async def open_stage(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncIterator[Open]:
    """Opens a stage with a vault set up as wanted."""
    async with AsyncExitStack() as stack:

        async def open_(**options: Unpack[VaultOptions]) -> Stage:
            stage: Stage = await stack.enter_async_context(request.param(emulator, **options))
            return stage

        yield open_


@pytest.fixture
async def stage(open_stage: Open) -> Stage:
    return await open_stage()
