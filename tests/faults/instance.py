"""The operator of a world: behind a proxy, with a clock that can jump; it can be killed and started again."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator
from tests.faults.api_proxy import ApiProxy
from tests.faults.clock import JumpingClock


class Instance:
    """One operator at a time; all of them write to the same log."""

    def __init__(
        self,
        harness: OperatorHarness,
        name: str,
        api: ApiProxy,
        clock: JumpingClock,
        *,
        kubeconfig: Path | None,
        environ: Mapping[str, str],
    ) -> None:
        self.name = name
        """How the identities of its operators begin."""
        self.api = api
        """What stands between it and the API server."""
        self.clock = clock
        """Its clock."""
        self.log = harness.folder / f"{name}.log"
        self._harness = harness
        self._kubeconfig = api.kubeconfig(kubeconfig or harness.user())
        self._environ = {**clock.environment(), "POD_NAME": name, **environ}
        self._life = ExitStack()
        self._running: RunningOperator | None = None

    @classmethod
    @contextmanager
    def of(
        cls,
        harness: OperatorHarness,
        name: str,
        *,
        kubeconfig: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Iterator[Self]:
        """Run an operator in a pod of that name, by default with the rights that it needs, until the block ends."""
        clock = JumpingClock(harness.folder / f"{name}.clock")
        with ApiProxy.to(harness.plane.kubeconfig) as api:
            instance = cls(harness, name, api, clock, kubeconfig=kubeconfig, environ=environ or {})
            try:
                instance.start()
                yield instance
            finally:
                instance.kill()

    @property
    def running(self) -> RunningOperator:
        """The present operator, or the last one."""
        assert self._running is not None
        return self._running

    def start(self, *, wait: bool = True) -> None:
        """Start an operator, and return when it is ready if `wait`."""
        operator = self._harness.operator(self._kubeconfig, wait=wait, environ=self._environ, log=self.log)
        self._running = self._life.enter_context(operator)

    @property
    def leads(self) -> bool:
        """Whether the present operator says that it leads."""
        return (
            self.running.is_running and self.running.ports is not None and self.running.metric("vaultsync_leader") == 1
        )

    def kill(self) -> None:
        """Kill the present operator, if there is one, by SIGKILL."""
        self._life.close()

    def stop(self) -> int:
        """Stop the present operator, as Kubernetes does; returns its exit code."""
        with self._life:
            return self.running.stop()

    def signal(self, number: signal.Signals) -> None:
        """Send the present operator a signal."""
        self.running.signal(number)
