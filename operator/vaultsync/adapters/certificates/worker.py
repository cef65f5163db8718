"""The program of a worker: reads requests from standard input until its end, and answers each on standard output.

    python -m vaultsync.adapters.certificates.worker SECONDS BYTES

The arguments are the processor time for each request, and the memory for requests beside what the program itself needs.
What exceeds them ends the process. It writes nothing else, and leaves no core dump.
"""

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from vaultsync.adapters.certificates import messages
from vaultsync.errors import SyncError, error_fields
from vaultsync.memory_protection import protect_memory
from vaultsync.render.certificate_files import certificate_files
from vaultsync.render.certificate_requests import Conversion
from vaultsync.render.expiry import certificate_expiries
from vaultsync.render.password_hashes import password_hashes
from vaultsync.render.type_checks import lacks_issuers, normalized_data

_NICENESS: Final = 10
"""The operator's event loop comes first."""


def main(seconds: int, memory: int) -> None:
    """Answer requests within these limits, until there are no more."""
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the operator, which then ends us.
    _end_first()
    protect_memory()
    _limit_memory(memory)
    while (request := _read(sys.stdin.buffer)) is not None:
        _limit_cpu(seconds)
        sys.stdout.buffer.write(messages.framed(_answer(request)))
        sys.stdout.buffer.flush()


def _end_first() -> None:
    """Let the kernel choose this process before the operator if the container has no memory left."""
    with suppress(OSError):  # on other systems than Linux
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _limit_memory(memory: int) -> None:
    """Limit the address space; only Linux supports that."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_cpu(seconds: int) -> None:
    """Allow so much processor time from now on; its end sends SIGXCPU, which ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + 1 + seconds, hard))


def _read(source: BinaryIO) -> bytes | None:
    length = source.read(messages.LENGTH_BYTES)
    return source.read(int.from_bytes(length)) if length else None


def _answer(request: bytes) -> bytes:
    try:
        return _result(messages.parsed_request(request))
    except SyncError as error:
        return messages.refusal(error)
    except MemoryError:
        # What was allocated may still be referred to, and the answer needs memory, too.
        os._exit(messages.OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001  it is answered, without its text
        return messages.failure(**error_fields(error))


def _result(request: messages.Request) -> bytes:
    match request:
        case messages.CertificateData(data):
            return messages.expiries_answer(certificate_expiries(data))
        case messages.KeyData(secret_type, target, data):
            normalized = normalized_data(secret_type, data, target=target)
            return messages.conversions_answer([Conversion(normalized, lacks_issuers(secret_type, normalized))])
        case messages.Passwords(passwords):
            hashes = {str(index): text.encode() for index, text in enumerate(password_hashes(passwords))}
            return messages.conversions_answer([Conversion(hashes)])
        case _:
            return messages.conversions_answer(certificate_files(request))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
