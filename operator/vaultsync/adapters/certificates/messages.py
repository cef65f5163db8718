"""The messages between the operator and its certificate workers: JSON after its length; runs nothing.

It is not pickle: whoever finds a way to run code in a worker must not get into the operator with it.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vaultsync import bounded_json
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_requests import CertificateRequest, Conversion, Files, StoreRequest
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


@dataclass(frozen=True, slots=True)
class CertificateData:
    """Contents by key that hold certificates, whose dates are asked for."""

    data: Mapping[str, bytes]


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
    fields = {"secret_type": keys.secret_type, "target": keys.target, "data": _encoded(keys.data)}
    return json.dumps({"normalize": fields}).encode()


def hashing(requests: Sequence[PasswordRequest]) -> bytes:
    """Return the message that asks for the hashes of passwords."""
    return json.dumps({"hash": [asdict(request) for request in requests]}).encode()


def dating(certificates: CertificateData) -> bytes:
    """Return the message that asks when certificates expire."""
    return json.dumps({"date": _encoded(certificates.data)}).encode()


Request = list[CertificateRequest] | KeyData | Passwords | CertificateData
"""What a worker is asked for."""


def parsed_request(message: bytes) -> Request:
    """Return what a message asks for."""
    request: dict[str, Any] = json.loads(message)
    if "hash" in request:
        return Passwords(tuple(PasswordRequest(**one) for one in request["hash"]))
    if "date" in request:
        return CertificateData(_decoded(request["date"]))
    if "normalize" in request:
        return KeyData(**request["normalize"] | {"data": _decoded(request["normalize"]["data"])})
    return [_certificate_request(one) for one in request["convert"]]


def _certificate_request(fields: dict[str, Any]) -> CertificateRequest:
    stores = {name: StoreRequest(**fields[name]) for name in ("key_store", "trust_store") if fields[name] is not None}
    return CertificateRequest(**fields | stores)


def conversions_answer(conversions: Sequence[Conversion]) -> bytes:
    """Return the answer with what each certificate, or the data of a Secret, became."""
    encoded = [{"files": _encoded(one.files), "lacks_issuers": one.lacks_issuers} for one in conversions]
    return json.dumps({"conversions": encoded}).encode()


def expiries_answer(expiries: Mapping[str, datetime]) -> bytes:
    """Return the answer with when certificates expire, by key."""
    return json.dumps({"expiries": {key: expires.timestamp() for key, expires in expiries.items()}}).encode()


def refusal(error: SyncError) -> bytes:
    """Return the answer for what cannot be converted, or does not pass the check."""
    return json.dumps({"reason": error.reason, "message": error.message}).encode()


def failure(error: str, where: str) -> bytes:
    """Return the answer for an unexpected exception."""
    return json.dumps({"error": error, "where": where}).encode()


def parsed_conversions(message: bytes) -> list[Conversion]:
    """Return what a worker made of certificates, or of the data of a Secret; raises as `_parsed_answer`."""
    match _parsed_answer(message):
        case {"conversions": list(conversions)}:
            return [_conversion(one) for one in conversions]
    raise ValueError("not an answer")


def parsed_expiries(message: bytes) -> dict[str, datetime]:
    """Return when certificates expire, by key; raises as `_parsed_answer`."""
    match _parsed_answer(message):
        case {"expiries": dict(expiries)}:
            return {str(key): _moment(seconds) for key, seconds in expiries.items()}
    raise ValueError("not an answer")


def _moment(seconds: object) -> datetime:
    match seconds:
        case float() | int():
            with suppress(OverflowError, OSError):
                return datetime.fromtimestamp(seconds, UTC)
    raise ValueError("not a moment")


def _parsed_answer(message: bytes) -> object:
    """Return a worker's answer.

    Raises:
        SyncError: It refused.
        ValueError: It is no answer.
        WorkerError: It failed.
    """
    answer = bounded_json.parse(message)
    match answer:
        case {"reason": str(reason), "message": str(text)}:
            raise SyncError(Reason(reason), one_line(text, MAX_MESSAGE))
        case {"error": str(error), "where": str(where)}:
            raise WorkerError(one_line(error), where[:MAX_MESSAGE])
    return answer


def _conversion(fields: object) -> Conversion:
    match fields:
        case {"files": files, "lacks_issuers": bool(lacks_issuers)}:
            return Conversion(_decoded(files), lacks_issuers)
    raise ValueError("not a conversion")


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(content).decode() for key, content in data.items()}


def _decoded(data: object) -> Files:
    if not isinstance(data, dict):
        raise ValueError("not files")  # noqa: TRY004  it is no mistake of ours
    return {str(key): base64.b64decode(str(text), validate=True) for key, text in data.items()}
