"""Worker processes: started when needed, used again, ended when idle, and limited. Attacks are in `tests/attacks`."""

import asyncio
import logging
import resource
import sys
from pathlib import Path
from typing import Final

import bcrypt
import pytest

from tests.certificate_workers import running_workers, until, until_started
from tests.unit.vaultsync.render.authorities import END, a_line, in_pem, key_in_pem
from vaultsync.adapters.certificates import messages
from vaultsync.adapters.certificates.workers import CertificateWorkers, Limits
from vaultsync.errors import Reason, StillBusy, SyncError
from vaultsync.render.certificate_requests import CertificateRequest
from vaultsync.render.passwords import PasswordRequest

LINE: Final = a_line()
NAME: Final = "Secret shop-tls of vault v"
CHAIN: Final = in_pem(one.certificate for one in LINE[:-1])
REQUEST: Final = CertificateRequest(NAME, key_in_pem(LINE[0].key) + in_pem(one.certificate for one in LINE))


async def error_of(workers: CertificateWorkers, *requests: CertificateRequest) -> SyncError:
    with pytest.raises(SyncError) as raised:
        await workers.convert("shop", requests)
    assert raised.value.__context__ is None
    return raised.value


async def test_nothing_is_started_for_a_secret_without_certificates() -> None:
    async with running_workers() as workers:
        assert await workers.convert("shop", []) == []

        assert workers.processes == frozenset()


async def test_certificates_are_converted_in_their_order_by_a_worker_that_is_used_again() -> None:
    other = CertificateRequest(NAME, REQUEST.text, ca=True)

    async with running_workers() as workers:
        first, second = await workers.convert("shop", [REQUEST, other])
        (process,) = workers.processes
        await workers.convert("web", [REQUEST])

        assert first.files["tls.crt"] == CHAIN.encode()
        assert second.files.keys() == {"tls.crt", "tls.key", "ca.crt"}
        assert workers.processes == {process}


async def test_a_refusal_is_that_of_the_conversion() -> None:
    async with running_workers() as workers:
        error = await error_of(workers, CertificateRequest(NAME, "MARKED"))
        processes = workers.processes
        await error_of(workers, CertificateRequest(NAME, "MARKED"))

        assert (error.reason, error.message) == (
            Reason.CERTIFICATE_INVALID,
            f"{NAME} is neither PEM nor the base64 of PKCS#12.",
        )
        assert workers.processes == processes


async def test_data_that_are_keys_are_normalized() -> None:
    right = {"tls.crt": CHAIN.encode(), "tls.key": key_in_pem(LINE[0].key).encode(), "other": b"\xff"}

    async with running_workers() as workers:
        normalized = await workers.normalize(
            "shop", "kubernetes.io/tls", right | {"tls.crt": b"\xef\xbb\xbf" + CHAIN.encode()}, target="shop/web"
        )

    assert normalized.files == right


async def test_data_that_are_no_keys_are_refused() -> None:
    wrong = {"tls.crt": CHAIN.encode(), "tls.key": key_in_pem(LINE[-1].key).encode()}

    async with running_workers() as workers:
        with pytest.raises(SyncError, match=r"holds no certificate for tls\.key") as raised:
            await workers.normalize("shop", "kubernetes.io/tls", wrong, target="shop/web")

    assert raised.value.reason is Reason.TARGET_INVALID


async def test_passwords_are_hashed_in_their_order() -> None:
    requests = [PasswordRequest(f"$2y$04${'.' * 21}{last}", "s3cret") for last in "Oe"]

    async with running_workers() as workers:
        assert await workers.hash_passwords("shop", [], target="shop/web") == []
        assert workers.processes == frozenset()

        hashes = await workers.hash_passwords("shop", requests, target="shop/web")

    assert [one[:29] for one in hashes] == [one.salt for one in requests]
    assert all(bcrypt.checkpw(b"s3cret", one.encode()) for one in hashes)


async def test_certificates_are_dated_and_what_cannot_be_read_is_not() -> None:
    data = {"tls.crt": CHAIN.encode(), "broken": b"-----BEGIN CERTIFICATE-----"}

    async with running_workers() as workers:
        assert await workers.expiries("shop", data, target="shop/web") == {"tls.crt": END}


async def test_what_takes_too_much_memory_is_invalid_and_the_next_work_is_done() -> None:
    async with running_workers(Limits(memory=8 * 1024 * 1024)) as workers:
        error = await error_of(workers, CertificateRequest(NAME, "A" * 1_000_000))
        await workers.convert("shop", [REQUEST])

        assert error.reason is Reason.CERTIFICATE_INVALID
        assert error.message.startswith(f"{NAME} take more than 8 MiB of memory to read")


async def test_the_error_for_several_certificates_says_so() -> None:
    async with running_workers(Limits(memory=8 * 1024 * 1024)) as workers:
        error = await error_of(workers, REQUEST, CertificateRequest(NAME, "A" * 1_000_000))

        assert error.message.startswith(f"{NAME} and the other certificates of its VaultSecret, 2 in all, take more")


async def test_a_worker_is_limited() -> None:
    async with running_workers(Limits(cpu_seconds=7, memory=64 * 1024 * 1024)) as workers:
        await workers.convert("shop", [REQUEST])
        (process,) = workers.processes

        core, _ = resource.prlimit(process, resource.RLIMIT_CORE)
        seconds, _ = resource.prlimit(process, resource.RLIMIT_CPU)
        memory, _ = resource.prlimit(process, resource.RLIMIT_AS)
        assert core == 0
        assert 7 < seconds <= 7 + 60
        assert 64 * 1024 * 1024 < memory < 256 * 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
async def test_the_kernel_ends_a_worker_before_the_operator() -> None:
    async with running_workers() as workers:
        await workers.convert("shop", [REQUEST])
        (process,) = workers.processes

        assert _rank(process) == "1000"


def _rank(process: int) -> str:
    return Path(f"/proc/{process}/oom_score_adj").read_text(encoding="ascii").strip()


async def test_an_idle_worker_ends() -> None:
    async with running_workers(Limits(idle=0.01)) as workers:
        await workers.convert("shop", [REQUEST])
        processes = workers.processes

        await until(lambda: not workers.processes)
        await workers.convert("shop", [REQUEST])

        assert workers.processes.isdisjoint(processes)


async def test_cancelled_work_is_not_answered_to_the_next() -> None:
    async with running_workers(Limits(workers=1)) as workers:
        work = asyncio.create_task(workers.convert("shop", [CertificateRequest(NAME, "first")]))
        await until_started(workers)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

        (done,) = await workers.convert("shop", [REQUEST])

        assert done.files["tls.crt"] == CHAIN.encode()


async def test_closing_ends_work_in_progress() -> None:
    workers = CertificateWorkers(Limits(workers=1))
    works = [asyncio.create_task(workers.convert("shop", [REQUEST])) for _ in range(2)]
    await until_started(workers)

    await workers.aclose()

    with pytest.raises(SyncError, match="ended with signal 9"):
        await works[0]
    works[1].cancel()
    await asyncio.wait(works)
    await workers.aclose()
    assert workers.processes == frozenset()


async def test_cancelled_waiting_leaves_the_turn_to_others() -> None:
    async with running_workers(Limits(workers=1)) as workers, asyncio.TaskGroup() as tasks:
        works = [tasks.create_task(workers.convert("shop", [REQUEST])) for _ in range(5)]
        await asyncio.sleep(0)
        for work in works[1:4]:
            work.cancel()
        await asyncio.wait(works)

        assert [work.cancelled() for work in works] == [False, True, True, True, False]


async def test_one_who_waited_too_long_is_busy_and_takes_no_turn() -> None:
    async with running_workers(Limits(workers=1, turn=0.0)) as workers:
        await workers.convert("shop", [REQUEST])
        async with workers._turn("other"):
            with pytest.raises(StillBusy):
                await workers.convert("shop", [REQUEST])

        await workers.convert("shop", [REQUEST])


async def test_a_worker_that_cannot_be_started_is_an_error_that_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    async with running_workers() as workers:
        error = await error_of(workers, REQUEST)

        assert error.reason is Reason.INTERNAL_ERROR
        assert "could not be started: No such file or directory" in error.message


async def test_an_unexpected_error_in_a_worker_is_logged_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(messages, "conversion", lambda requests: b'{"convert": [{"MARKED": 1}]}')

    async with running_workers() as workers:
        error = await error_of(workers, REQUEST)

        assert error.reason is Reason.INTERNAL_ERROR
        (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert record.getMessage() == "certificate worker failed"
        assert record.__dict__["error"] == "KeyError"
        assert "MARKED" not in record.__dict__["where"]


@pytest.mark.parametrize(
    "answer", [b"", b"{}", (messages.MAX_ANSWER + 1).to_bytes(4)], ids=["none", "another", "a long one"]
)
async def test_a_worker_with_another_answer_is_not_used_again(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    def framed(message: bytes) -> bytes:
        return len(message).to_bytes(4) + message

    sent = answer if len(answer) == 4 else framed(answer)
    code = (
        f"import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write({sent!r}); sys.stdout.flush(); sys.stdin.read()"
    )
    start = asyncio.create_subprocess_exec
    monkeypatch.setattr(
        asyncio, "create_subprocess_exec", lambda program, *_, **options: start(program, "-c", code, **options)
    )

    async with running_workers() as workers:
        error = await error_of(workers, REQUEST)

        assert error.reason is Reason.INTERNAL_ERROR
        assert "gave an answer that is none" in error.message
        await until(lambda: not workers.processes)
