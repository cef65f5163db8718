"""Opens a harness for each scenario: each client with each kind of vault."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Unpack

import pytest

from tests.contract.vault.harness import Harness, Open, in_memory, served, vendors
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
async def open_harness(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncIterator[Open]:
    """Returns a function that opens a harness whose vault has the given options."""
    async with AsyncExitStack() as stack:

        async def open_(**options: Unpack[VaultOptions]) -> Harness:
            harness: Harness = await stack.enter_async_context(request.param(emulator, **options))
            return harness

        yield open_


@pytest.fixture
async def harness(open_harness: Open) -> Harness:
    return await open_harness()
