"""The messages between the operator and its certificate workers: JSON after its length; runs nothing.

It is not pickle: whoever finds a way to run code in a worker must not get into the operator with it.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from vaultsync import bounded_json
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_files import CertificateRequest, Conversion, Files, StoreRequest
from vaultsync.render.passwords import PasswordRequest
from vaultsync.texts import MAX_MESSAGE, one_line

LENGTH_BYTES: Final = 4
MAX_ANSWER: Final = 16 * 1024 * 1024
"""In bytes: some times what a Secret can hold."""

OUT_OF_MEMORY: Final = 3
"""The exit code of a worker that reached its memory limit."""


@dataclass(frozen=True, slots=True)
class KeyData:
    """The data of a Secret that must fit its type, and its name for messages."""

    secret_type: str
    target: str
    data: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Passwords:
    """The passwords to hash."""

    requests: tuple[PasswordRequest, ...]


class WorkerError(Exception):
    """An unexpected exception in a worker: its type and its traceback, without its text."""

    def __init__(self, error: str, where: str) -> None:
        super().__init__(error)
        self.error = error
        self.where = where


def framed(message: bytes) -> bytes:
    """Return a message after its length."""
    return len(message).to_bytes(LENGTH_BYTES) + message


def conversion(requests: Sequence[CertificateRequest]) -> bytes:
    """Return the message that asks for the files of certificates."""
    return json.dumps({"convert": [asdict(request) for request in requests]}).encode()


def normalization(keys: KeyData) -> bytes:
    """Return the message that asks for data as the readers of its type accept it."""
    data = {key: base64.b64encode(content).decode() for key, content in keys.data.items()}
    return json.dumps({"normalize": {"secret_type": keys.secret_type, "target": keys.target, "data": data}}).encode()


def hashing(requests: Sequence[PasswordRequest]) -> bytes:
    """Return the message that asks for the hashes of passwords."""
    return json.dumps({"hash": [asdict(request) for request in requests]}).encode()


def parsed_request(message: bytes) -> list[CertificateRequest] | KeyData | Passwords:
    """Return what a message asks for."""
    request: dict[str, Any] = json.loads(message)
    if "hash" in request:
        return Passwords(tuple(PasswordRequest(**one) for one in request["hash"]))
    if "normalize" in request:
        return KeyData(**request["normalize"] | {"data": _decoded(request["normalize"]["data"])})
    return [_certificate_request(one) for one in request["convert"]]


def _certificate_request(fields: dict[str, Any]) -> CertificateRequest:
    stores = {name: StoreRequest(**fields[name]) for name in ("key_store", "trust_store") if fields[name] is not None}
    return CertificateRequest(**fields | stores)


def conversions_answer(conversions: Sequence[Conversion]) -> bytes:
    """Return the answer with what each certificate, or the data of a Secret, became."""
    encoded = [
        {
            "files": {key: base64.b64encode(content).decode() for key, content in one.files.items()},
            "lacks_issuers": one.lacks_issuers,
        }
        for one in conversions
    ]
    return json.dumps({"conversions": encoded}).encode()


def refusal(error: SyncError) -> bytes:
    """Return the answer for what cannot be converted, or does not pass the check."""
    return json.dumps({"reason": error.reason, "message": error.message}).encode()


def failure(error: str, where: str) -> bytes:
    """Return the answer for an unexpected exception."""
    return json.dumps({"error": error, "where": where}).encode()


def parsed_answer(message: bytes) -> list[Conversion]:
    """Return what a worker answered with.

    Raises:
        SyncError: It refused.
        ValueError: It is no answer.
        WorkerError: It failed.
    """
    answer = bounded_json.parse(message)
    match answer:
        case {"conversions": list(conversions)}:
            return [_conversion(one) for one in conversions]
        case {"reason": str(reason), "message": str(text)}:
            raise SyncError(Reason(reason), one_line(text, MAX_MESSAGE))
        case {"error": str(error), "where": str(where)}:
            raise WorkerError(one_line(error), where[:MAX_MESSAGE])
    raise ValueError("not an answer")


def _conversion(fields: object) -> Conversion:
    match fields:
        case {"files": files, "lacks_issuers": bool(lacks_issuers)}:
            return Conversion(_decoded(files), lacks_issuers)
    raise ValueError("not a conversion")


def _decoded(data: object) -> Files:
    if not isinstance(data, dict):
        raise ValueError("not files")  # noqa: TRY004  it is no mistake of ours
    return {str(key): base64.b64decode(str(text), validate=True) for key, text in data.items()}
