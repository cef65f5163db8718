"""Attacks by key material that is work: it blocks nobody, ends within its limits, and is named in the condition."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.hostile_keys import (
    PASSWORD,
    chain_of_one_name,
    dsa_key,
    ec_key_with_its_own_curve,
    key_with_a_decoy,
    pem,
    pkcs12_with_hidden_nesting,
    pkcs12_with_hidden_rounds,
    scrypt_key,
    slow_key,
)
from tests.certificate_workers import running_workers, until_started
from tests.e2e.harness import Harness
from tests.unit.vaultsync.render.authorities import Party, a_line, a_party, in_pem, in_pkcs12, key_in_pem
from vaultsync.adapters.certificates.workers import CertificateWorkers, Limits
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_requests import CertificateRequest
from vaultsync.render.private_keys import MAX_ROUNDS

FOREVER: Final = 2**31 - 1
"""Rounds of key derivation that take minutes on any machine."""

HONEST: Final = a_line()
NAME: Final = "Secret shop-tls of vault https://shop.vault.azure.net"


def a_request(text: str) -> CertificateRequest:
    return CertificateRequest(NAME, text, password=PASSWORD)


def an_honest_request() -> CertificateRequest:
    return a_request(in_pkcs12(HONEST[0].key, [one.certificate for one in HONEST], PASSWORD))


@pytest.fixture
async def workers() -> AsyncIterator[CertificateWorkers]:
    """Workers that allow one second of processor time."""
    async with running_workers(Limits(cpu_seconds=1)) as workers:
        yield workers


async def refused(workers: CertificateWorkers, *texts: str) -> str:
    """Return why a VaultSecret with these certificates is invalid, after a check that an honest one still works."""
    with pytest.raises(SyncError) as raised:
        await workers.convert("attacker", [a_request(text) for text in texts])
    assert raised.value.reason is Reason.CERTIFICATE_INVALID
    await assert_works(workers)
    return raised.value.message


async def assert_works(workers: CertificateWorkers, namespace: str = "victim") -> None:
    (done,) = await workers.convert(namespace, [an_honest_request()])
    assert done.files["tls.crt"] == in_pem(one.certificate for one in HONEST[:-1]).encode()


async def test_a_pkcs12_with_rounds_in_its_encrypted_part_does_not_take_more_than_its_processor_time(
    workers: CertificateWorkers,
) -> None:
    """A tenant stores a PKCS#12 file that shows one round, and hides billions in what his own password encrypts."""
    assert "more than 1 seconds of processor time" in await refused(workers, pkcs12_with_hidden_rounds(FOREVER))


async def test_a_pkcs12_with_rounds_in_its_encrypted_part_does_not_stop_the_event_loop() -> None:
    """A tenant hides billions of rounds in a PKCS#12 file, so that nobody else is served and the probe fails."""
    async with running_workers(Limits(cpu_seconds=600)) as workers:
        attack = asyncio.create_task(workers.convert("attacker", [a_request(pkcs12_with_hidden_rounds(FOREVER))]))
        await until_started(workers)

        for _ in range(1000):
            await asyncio.sleep(0)
        await assert_works(workers)

        assert not attack.done()
        attack.cancel()


async def test_a_pem_with_a_cheap_key_in_its_header_does_not_hide_the_rounds_of_its_body(
    workers: CertificateWorkers,
) -> None:
    """A tenant puts a cheap key into a header of PEM, so that its cost is computed in place of the body's."""
    assert f"requires {FOREVER} rounds" in await refused(workers, key_with_a_decoy(FOREVER))


async def test_many_files_of_allowed_rounds_do_not_add_up(workers: CertificateWorkers) -> None:
    """A tenant lists 32 certificates in one VaultSecret, each of which takes as many rounds as are allowed."""
    text = pem("ENCRYPTED PRIVATE KEY", slow_key(MAX_ROUNDS)) + in_pem([HONEST[0].certificate])
    cheap = in_pkcs12(HONEST[0].key, [HONEST[0].certificate], PASSWORD, rounds=1000)

    message = await refused(workers, *[cheap] * 31, text)

    assert f"requires {MAX_ROUNDS} rounds of key derivation" in message
    assert "for all certificates of a VaultSecret together" in message


@pytest.mark.parametrize("count", [1, 32])
async def test_chains_of_one_name_do_not_take_quadratic_time(workers: CertificateWorkers, count: int) -> None:
    """A tenant stores 49 certificates of the same name, so that each must be tried as the issuer of each other."""
    assert "too many certificates of the same name" in await refused(workers, *[chain_of_one_name(49)] * count)


async def test_a_circle_of_issuers_does_not_go_on_forever(workers: CertificateWorkers) -> None:
    """A tenant stores certificates that issued each other."""
    one, other = a_party("one"), a_party("other")
    circle = [a_party("one", by=other, key=one.key), a_party("other", by=one, key=other.key)] * 10

    (done,) = await workers.convert("attacker", [a_request(_in_pem(a_party("leaf", by=one), circle))])

    assert done.files["tls.crt"].count(b"BEGIN CERTIFICATE") == 3


async def test_many_certificates_in_one_vaultsecret_are_not_all_read(workers: CertificateWorkers) -> None:
    """A tenant fills every entry of a VaultSecret with as many certificates as fit into a value."""
    many = _in_pem(HONEST[0], [*HONEST, *[a_party("x")] * 60])

    assert "256 are allowed" in await refused(workers, *[many] * 5)


async def test_a_plain_secret_full_of_certificates_is_neither_refused_nor_dated_for_long() -> None:
    """A tenant fills plain secrets with certificates and with what looks like them, to be dated."""
    many = in_pem([HONEST[0].certificate] * 250).encode()
    deep = pem("CERTIFICATE", b"\x30\x80" * 50_000).encode()
    broken = (b"-----BEGIN CERTIFICATE-----\n" * 10_000, b"-----BEGIN CERTIFICATE-----" + b"-" * 300_000)
    contents = {"first": many, "second": many, "deep": deep, "broken": broken[0], "cut": broken[1]}

    async with running_workers() as workers:
        assert (await workers.expiries("attacker", contents, target="attacker/x")).keys() == {"first", "second"}
        await assert_works(workers)


async def test_values_of_megabytes_are_not_sent_to_a_worker(workers: CertificateWorkers) -> None:
    """A hostile vault answers with certificates of megabytes."""
    assert "1048576 are allowed" in await refused(workers, "A" * 600_000, "A" * 600_000)


async def test_bags_in_bags_in_an_encrypted_part_do_not_end_the_operator(workers: CertificateWorkers) -> None:
    """A tenant nests thousands of bags where only the parser sees them, to overflow its stack."""
    assert NAME in await refused(workers, pkcs12_with_hidden_nesting(2_000))


async def test_memory_of_key_derivation_is_not_the_operators(workers: CertificateWorkers) -> None:
    """A tenant chooses parameters of scrypt that take 256 MiB of memory, within the allowed work."""
    text = pem("ENCRYPTED PRIVATE KEY", scrypt_key(cost=2**18, block=8)) + in_pem([HONEST[0].certificate])

    assert NAME in await refused(workers, text)
    assert [_peak(pid) for pid in workers.processes if _peak(pid) > 128 * 1024] == []


@pytest.mark.parametrize("parameters", [(2**40, 8), (2**21, 1)], ids=["more than memory", "none that scrypt has"])
async def test_impossible_parameters_of_scrypt_are_not_an_error_of_ours(
    workers: CertificateWorkers, parameters: tuple[int, int]
) -> None:
    """A tenant chooses parameters of scrypt for which OpenSSL has no proper error."""
    cost, block = parameters
    text = pem("ENCRYPTED PRIVATE KEY", scrypt_key(cost=cost, block=block)) + in_pem([HONEST[0].certificate])

    assert NAME in await refused(workers, text)


@pytest.mark.parametrize("secret_type", ["kubernetes.io/tls", "kubernetes.io/ssh-auth"])
@pytest.mark.parametrize(
    "key", [dsa_key(64_000), dsa_key(16_000), ec_key_with_its_own_curve()], ids=["DSA", "shorter DSA", "EC"]
)
async def test_numbers_of_any_length_in_a_plain_key_do_not_stop_others(
    workers: CertificateWorkers, secret_type: str, key: str
) -> None:
    """A tenant stores a key without any password whose mere loading is an exponentiation of huge numbers."""
    data = {
        "tls.key": key.encode(),
        "tls.crt": in_pem([HONEST[0].certificate]).encode(),
        "ssh-privatekey": key.encode(),
    }

    with suppress(SyncError):  # openssl makes DSA keys of 16,000 bits, which take a second to load
        await workers.normalize("attacker", secret_type, data, target="attacker/web")
    await assert_works(workers)


async def test_a_namespace_with_many_heavy_certificates_does_not_take_all_workers() -> None:
    """A tenant creates many VaultSecrets with certificates that never end, so that no worker is left for others."""
    async with running_workers(Limits(cpu_seconds=600, turn=60)) as workers:
        request = a_request(pkcs12_with_hidden_rounds(FOREVER))
        attacks = [asyncio.create_task(workers.convert("attacker", [request])) for _ in range(10)]
        await until_started(workers)

        for _ in range(3):
            await assert_works(workers)

        assert not any(attack.done() for attack in attacks)
        for attack in attacks:
            attack.cancel()


async def test_a_namespace_with_many_certificates_does_not_go_before_others() -> None:
    """A tenant creates many VaultSecrets with honest certificates, so that the only worker has no time for others."""
    done: list[str] = []

    async def convert(one: CertificateWorkers, namespace: str) -> None:
        await one.convert(namespace, [an_honest_request()])
        done.append(namespace)

    async with running_workers(Limits(workers=1)) as workers, asyncio.TaskGroup() as tasks:
        for namespace in ["attacker"] * 20 + ["victim"]:
            tasks.create_task(convert(workers, namespace))

    assert done.index("victim") <= 1


async def test_one_who_waits_for_others_work_does_not_wait_without_bound() -> None:
    """A tenant keeps the only worker busy, so that the reconciles of others are occupied by waiting for it."""
    async with running_workers(Limits(workers=1, cpu_seconds=600, turn=0.01)) as workers:
        attack = asyncio.create_task(workers.convert("attacker", [a_request(pkcs12_with_hidden_rounds(FOREVER))]))
        await until_started(workers)

        with pytest.raises(SyncError) as raised:
            await assert_works(workers)

        assert raised.value.reason is Reason.WAITING
        attack.cancel()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM], ids=lambda how: how.name)
async def test_a_worker_that_is_killed_does_not_take_other_work_with_it(how: signal.Signals) -> None:
    """A tenant has a worker killed, by the kernel's lack of memory or by a defect of a parser."""
    async with running_workers(Limits(cpu_seconds=600)) as workers:
        attack = asyncio.create_task(workers.convert("attacker", [a_request(pkcs12_with_hidden_rounds(FOREVER))]))
        attacked = await until_started(workers)
        await assert_works(workers)

        os.kill(attacked, how)
        with pytest.raises(SyncError) as raised:
            await attack

        crashed = how is signal.SIGSEGV
        assert raised.value.reason is (Reason.CERTIFICATE_INVALID if crashed else Reason.INTERNAL_ERROR)
        await assert_works(workers, "attacker")


async def test_a_worker_that_never_answers_is_not_waited_for() -> None:
    """A tenant has a worker stopped."""
    async with running_workers(Limits(answer=0.5)) as workers:
        work = asyncio.create_task(assert_works(workers))
        os.kill(await until_started(workers), signal.SIGSTOP)

        with pytest.raises(SyncError, match="gave no answer within") as raised:
            await work

        assert raised.value.reason is Reason.INTERNAL_ERROR


async def test_a_password_or_value_is_not_seen_in_the_processes_of_the_node() -> None:
    """Somebody on the node reads the arguments and the environment of all processes."""
    async with running_workers(Limits(cpu_seconds=600)) as workers:
        text = pkcs12_with_hidden_rounds(FOREVER)
        work = asyncio.create_task(workers.convert("shop", [a_request(text)]))
        await until_started(workers)
        await assert_works(workers)

        seen = [_shown(pid) for pid in workers.processes]

        assert len(seen) == 2
        assert not any(secret in shown for shown in seen for secret in (PASSWORD, text[:16], "AZURE", "HOME"))
        work.cancel()


@pytest.mark.cluster
def test_a_certificate_that_never_ends_does_not_delay_the_secrets_of_others(harness: Harness) -> None:
    """A tenant syncs a certificate whose rounds never end, on a real cluster, and looks for what becomes of others."""
    harness.vault.set("hostile", pkcs12_with_hidden_rounds(FOREVER))
    harness.vault.set("open", PASSWORD)
    harness.apply(
        {"key": "password", "secretName": "open"},
        name="hostile",
        dataFrom=[{"certificate": "hostile", "passwordKey": "password"}],
    )
    harness.put()
    harness.apply()

    harness.await_synced()
    condition = harness.await_reason("CertificateInvalid", name="hostile")
    assert "more than 10 seconds of processor time" in condition.message
    assert harness.secret("hostile") is None


def _shown(pid: int) -> str:
    return "".join(_content(f"/proc/{pid}/{name}") for name in ("cmdline", "environ"))


def _peak(pid: int) -> int:
    """The most memory that a process has used at once, in KiB."""
    (line,) = (line for line in _content(f"/proc/{pid}/status").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except PermissionError:
        return ""  # the environment, to anybody but root


def _in_pem(leaf: Party, certificates: Sequence[Party]) -> str:
    return key_in_pem(leaf.key) + in_pem(one.certificate for one in (leaf, *certificates))
