"""Gives certificates to worker processes, which are started when they are needed; converts none itself.

A tenant chooses how much work a certificate is. Each request has limits of processor time and memory, which the kernel
applies, so the end of a worker is the end of one request and of nothing else. Namespaces take turns: each has at most
one request in work, and waits for one request of each other namespace at most.
"""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from vaultsync.adapters.certificates import messages
from vaultsync.errors import Reason, StillBusy, SyncError
from vaultsync.render.certificate_requests import CertificateRequest, Conversion, check_size
from vaultsync.render.passwords import PasswordRequest

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_CRASHES: Final = frozenset({signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV})
"""How a process ends itself: by a parser that fails, or by memory that the limit denies to one that cannot fail."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the work may cost."""

    workers: int = 2
    """Processes at the same time."""
    cpu_seconds: int = 10
    """Processor time for one request: 32 RSA keys of 4096 bits take six seconds."""
    memory: int = 96 * 1024 * 1024
    """In bytes, for requests, beside the 40 MB of address space that the program itself needs."""
    turn: float = 30.0
    """Seconds to wait for a worker."""
    answer: float = 60.0
    """Seconds to wait for an answer: a safeguard only, since nothing but the processor delays it."""
    idle: float = 60.0
    """Seconds after which an unused worker ends: its memory may hold values, and is used for nothing."""


class CertificateWorkers:
    """Worker processes, and the turns of namespaces."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns = asyncio.Semaphore(self._limits.workers)
        self._namespaces: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._idle: dict[_Worker, asyncio.TimerHandle] = {}
        self._running: dict[_Worker, asyncio.Task[None]] = {}
        """Each with the task that waits for its end."""

    @property
    def processes(self) -> frozenset[int]:
        """The ids of the processes that run."""
        return frozenset(worker.process.pid for worker in self._running)

    async def convert(self, namespace: str, requests: Sequence[CertificateRequest]) -> list[Conversion]:
        """Return the files of each certificate of one VaultSecret.

        Raises:
            StillBusy: It was not its turn yet.
            SyncError: They cannot be converted, or not within the limits.
        """
        if not requests:
            return []
        check_size(requests)
        subject = requests[0].origin
        if len(requests) > 1:
            subject += f" and the other certificates of its VaultSecret, {len(requests)} in all,"
        return await self._answer(namespace, subject, messages.conversion(requests), messages.parsed_conversions)

    async def normalize(
        self, namespace: str, secret_type: str, data: Mapping[str, bytes], *, target: str
    ) -> Conversion:
        """Return the data of a Secret whose type demands keys, as all readers of its type accept it.

        Raises:
            StillBusy: It was not its turn yet.
            SyncError: They do not fit its type, or cannot be read within the limits.
        """
        keys = messages.KeyData(secret_type, target, data)
        request, parse = messages.normalization(keys), messages.parsed_conversions
        (normalized,) = await self._answer(namespace, f"The data of Secret {target}", request, parse)
        return normalized

    async def hash_passwords(self, namespace: str, requests: Sequence[PasswordRequest], *, target: str) -> list[str]:
        """Return the hash of each password of one Secret.

        Raises:
            StillBusy: It was not its turn yet.
            SyncError: They cannot be hashed within the limits.
        """
        if not requests:
            return []
        subject, request = f"The passwords of Secret {target}", messages.hashing(requests)
        (hashed,) = await self._answer(namespace, subject, request, messages.parsed_conversions)
        return [hashed.files[str(index)].decode() for index in range(len(requests))]

    async def expiries(self, namespace: str, data: Mapping[str, bytes], *, target: str) -> Mapping[str, datetime]:
        """Return when the first leaf certificate in each of these contents expires; those without a date are left out.

        Raises:
            StillBusy: It was not its turn yet.
            SyncError: They cannot be read within the limits.
        """
        request = messages.dating(messages.CertificateData(data))
        return await self._answer(namespace, f"The data of Secret {target}", request, messages.parsed_expiries)

    async def aclose(self) -> None:
        """End all workers."""
        for worker in self._running:
            worker.kill()
        await asyncio.gather(*self._running.values())

    async def _answer(self, namespace: str, subject: str, request: bytes, parse: Callable[[bytes], _Result]) -> _Result:
        try:
            async with self._turn(namespace), self._worker() as worker, asyncio.timeout(self._limits.answer):
                return parse(await worker.ask(request))
        except _Ended as ended:
            problem = self._problem(subject, ended.code)
        except TimeoutError:
            problem = _interrupted(f"gave no answer within {self._limits.answer:.0f} seconds")
        except ValueError:
            problem = _interrupted("gave an answer that is none")
        except messages.WorkerError as error:
            logger.error("certificate worker failed", extra={"error": error.error, "where": error.where})  # noqa: TRY400  its own traceback says nothing
            problem = _interrupted("failed")
        # Not inside the handlers: their errors would be the context, and may hold an answer.
        raise problem

    @asynccontextmanager
    async def _turn(self, namespace: str) -> AsyncIterator[None]:
        """Wait for the turn of a namespace. Both locks are fair, and a namespace competes for workers only once."""
        lock = self._namespaces.setdefault(namespace, asyncio.Lock())
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._limits.turn):
                    await stack.enter_async_context(lock)
                    await stack.enter_async_context(self._turns)
            except TimeoutError:
                raise StillBusy(
                    Reason.WAITING,
                    "Waiting for certificates or passwords that came before, of this namespace or of others.",
                ) from None
            yield

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator["_Worker"]:
        """Borrow a worker. One that did not answer is ended, since its answer would be taken for that to the next."""
        worker = self._idle_worker() or await self._start()
        try:
            yield worker
        except SyncError:
            self._rest(worker)
            raise
        except BaseException:
            worker.kill()
            raise
        self._rest(worker)

    def _idle_worker(self) -> "_Worker | None":
        if not self._idle:
            return None
        worker, timer = self._idle.popitem()
        timer.cancel()
        return worker

    async def _start(self) -> "_Worker":
        # Values cross in pipes alone. None of our environment is passed on, which may have credentials; standard error
        # is not, since texts of exceptions may hold values; and a session of its own spares it signals of a terminal.
        limits = str(self._limits.cpu_seconds), str(self._limits.memory)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-B", "-s", "-m", "vaultsync.adapters.certificates.worker", *limits),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        except OSError as error:
            problem = _interrupted(f"could not be started: {error.strerror}")
        else:
            worker = _Worker(process)
            self._running[worker] = asyncio.create_task(self._await_end(worker))
            return worker
        raise problem

    async def _await_end(self, worker: "_Worker") -> None:
        await worker.process.wait()
        del self._running[worker]
        timer = self._idle.pop(worker, None)
        if timer is not None:
            timer.cancel()

    def _rest(self, worker: "_Worker") -> None:
        """Let a worker wait for the next request; it is ended, whatever it does, if there is none for some time."""
        self._idle[worker] = asyncio.get_running_loop().call_later(self._limits.idle, self._retire, worker)

    def _retire(self, worker: "_Worker") -> None:
        del self._idle[worker]
        worker.kill()

    def _problem(self, subject: str, code: int) -> SyncError:
        """Return the error for a worker that ended, by its exit code or the negative number of a signal."""
        if code == -signal.SIGXCPU:
            return _refused(subject, f"take more than {self._limits.cpu_seconds} seconds of processor time to read")
        if code == messages.OUT_OF_MEMORY:
            return _refused(subject, f"take more than {self._limits.memory // 1024**2} MiB of memory to read")
        if -code in _CRASHES:
            return _refused(subject, "take more memory to read than is allowed, or are so damaged that reading fails")
        return _interrupted(f"ended with signal {-code}" if code < 0 else f"ended with code {code}")


class _Worker:
    """A process, and the requests to it, one at a time."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def kill(self) -> None:
        """End the process; it has no state to lose."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the answer; raises `_Ended` if the process ends before."""
        source, sink = self.process.stdout, self.process.stdin
        assert source is not None
        assert sink is not None
        try:
            sink.write(messages.framed(request))
            await sink.drain()
            length = int.from_bytes(await source.readexactly(messages.LENGTH_BYTES))
            if length > messages.MAX_ANSWER:
                raise ValueError("too long")
            return await source.readexactly(length)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        raise _Ended(await self.process.wait())


class _Ended(Exception):
    """A worker has ended, with this exit code, or the negative number of a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _refused(subject: str, why: str) -> SyncError:
    return SyncError(
        Reason.CERTIFICATE_INVALID,
        f"{subject} {why}; export what the vault holds again, with few rounds of key derivation and without "
        "certificates that are not in its chain.",
    )


def _interrupted(how: str) -> SyncError:
    return SyncError(
        Reason.INTERNAL_ERROR,
        f"The process that reads certificates {how}; it is tried again. If it was killed (signal 9), the container may "
        "have reached its memory limit: see resources.limits.memory of the chart.",
    )
