"""Plays tests at the same time: each keeps its name, its body and its report, and all of them wait for the same polls.

A vault is polled every ten seconds at most, so that stories told one after the other would take many minutes.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.e2e.scene import Scene

Play = Callable[..., None]

_LONGEST: Final = 300
"""Seconds for all stories of a folder."""


def story(play: Play) -> Play:
    """Let a test be played together with all other stories of its folder; its first parameter is its scene."""

    @functools.wraps(play)
    def told(stories: Stories, request: pytest.FixtureRequest, **_: object) -> None:
        stories.end_of(request.node)

    _scene, *case = inspect.signature(play).parameters.values()
    fixtures = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("stories", "request")]
    case = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in case]
    # The first of them waits while all are played.
    pytest.mark.timeout(_LONGEST)(told)
    told.__signature__ = inspect.Signature([*fixtures, *case])  # type: ignore[attr-defined]  # what pytest looks at
    return told


class Stories:
    """The stories that were chosen for this run, each played in a thread of its own.

    Args:
        tests: All tests of this run; those that are no stories are passed by.
        set_scene: Makes the scene of one story.
        at_once: So many are played at the same time; all of them, if None.
    """

    def __init__(
        self, tests: Iterable[pytest.Item], set_scene: Callable[[], Scene], *, at_once: int | None = None
    ) -> None:
        stories = [test for test in tests if isinstance(test, pytest.Function) and hasattr(test.obj, "__wrapped__")]
        self.scenes: list[Scene] = []
        self._set_scene = set_scene
        self._pool = ThreadPoolExecutor(max_workers=at_once or max(len(stories), 1))
        self._ends: dict[str, Future[None]] = {}
        for test in stories:
            case: dict[str, Any] = test.callspec.params if hasattr(test, "callspec") else {}
            self._ends[test.nodeid] = self._pool.submit(self._play, test.obj.__wrapped__, case)

    def _play(self, play: Play, case: dict[str, Any]) -> None:
        scene = self._set_scene()
        self.scenes.append(scene)
        play(scene, **case)

    def end_of(self, test: pytest.Item) -> None:
        """Wait for the end of one story; raises what it raised."""
        self._ends[test.nodeid].result()

    def await_all(self) -> None:
        """Wait for the end of all of them, good or bad."""
        wait(self._ends.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()
