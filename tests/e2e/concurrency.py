"""Runs scenarios at the same time: each keeps its name, its body and its report, and all wait for the same polls.

A vault is polled every ten seconds at most, so scenarios that ran one after another would take many minutes.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

import pytest
from typing_extensions import TypeIs

from tests.e2e.harness import PATIENCE, Harness

Body = Callable[..., None]

_GUARD_SECONDS: Final = 3 * PATIENCE
"""Seconds after which the scenarios count as hanging."""


def scenario(body: Body) -> Body:
    """Run a test at the same time as all other scenarios; its first parameter is its harness."""

    @functools.wraps(body)
    def await_result(runner: ScenarioRunner, request: pytest.FixtureRequest, **_: object) -> None:
        runner.result_of(request.node)

    _harness, *case = inspect.signature(body).parameters.values()
    fixtures = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("runner", "request")]
    case = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in case]
    # The first of them waits while all of them run.
    pytest.mark.timeout(_GUARD_SECONDS)(await_result)
    await_result.__signature__ = inspect.Signature([*fixtures, *case])  # type: ignore[attr-defined]  # pytest reads it
    return await_result


def is_scenario(test: pytest.Item) -> TypeIs[pytest.Function]:
    """Whether a test is a scenario."""
    return isinstance(test, pytest.Function) and "runner" in test.fixturenames and hasattr(test.obj, "__wrapped__")


class ScenarioRunner:
    """Scenarios that run at the same time, each in its own thread."""

    def __init__(self) -> None:
        self.harnesses: list[Harness] = []
        self._results: dict[str, Future[None]] = {}
        self._pools = ExitStack()

    def start(self, scenarios: Sequence[pytest.Function], new_harness: Callable[[], Harness], *, at_once: int) -> None:
        """Start scenarios.

        Args:
            scenarios: The scenarios.
            new_harness: Makes the harness of one of them.
            at_once: The number of them that run at the same time.
        """
        pool = self._pools.enter_context(ThreadPoolExecutor(max_workers=at_once))
        for test in scenarios:
            case: dict[str, Any] = test.callspec.params if hasattr(test, "callspec") else {}
            self._results[test.nodeid] = pool.submit(self._run, test.obj.__wrapped__, new_harness, case)

    def _run(self, body: Body, new_harness: Callable[[], Harness], case: dict[str, Any]) -> None:
        harness = new_harness()
        self.harnesses.append(harness)
        body(harness, **case)

    def result_of(self, test: pytest.Item) -> None:
        """Wait for the end of one scenario; raises what it raised."""
        self._results[test.nodeid].result()

    def await_all(self) -> None:
        """Wait for the end of all of them, passed or failed."""
        wait(self._results.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pools.close()
