"""Stalls that an operator writes into a file."""

import asyncio
import time
from pathlib import Path

from bench.watched import Watched, stalls_in


def test_only_stalls_of_the_block_count_and_a_wait_for_the_cpu_is_not_the_loops_own_work(tmp_path: Path) -> None:
    file = tmp_path / "stalls"
    file.write_text("9.0000 9.0000\n")
    with stalls_in(file) as stalls, file.open("a") as lines:
        lines.write("0.3000 0.0200\n0.1000 0.1100\n")
        lines.flush()
    assert (stalls.longest, stalls.own) == (0.3, 0.1)


def test_a_quiet_operator_has_no_stalls(tmp_path: Path) -> None:
    with stalls_in(tmp_path / "none") as stalls:
        pass
    assert (stalls.longest, stalls.own) == (0.0, 0.0)


def test_a_pass_of_the_loop_is_a_stall_and_a_wait_is_none() -> None:
    stalls: list[tuple[float, float]] = []

    async def work() -> None:
        await asyncio.sleep(0.1)
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        await asyncio.sleep(0.1)

    loop = asyncio.SelectorEventLoop(Watched(lambda late, used: stalls.append((late, used))))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work())
    own = [used for _, used in stalls if used >= 0.05]
    assert len(own) == 1
    assert max(late for late, _ in stalls) >= 0.05
