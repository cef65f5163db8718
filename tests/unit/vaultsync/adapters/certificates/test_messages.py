"""What the operator and its certificate workers send each other."""

from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.adapters.certificates import messages
from vaultsync.adapters.certificates.messages import CertificateData, KeyData, Passwords, WorkerError
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_requests import CertificateRequest, Conversion, StoreRequest
from vaultsync.render.passwords import PasswordRequest
from vaultsync.texts import MAX_MESSAGE

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]))
STORES: Final = st.none() | st.builds(StoreRequest, TEXT, TEXT)
REQUESTS: Final = st.builds(CertificateRequest, TEXT, TEXT, st.none() | TEXT, st.booleans(), STORES, STORES)


@given(requests=st.lists(REQUESTS, min_size=1))
def test_a_conversion_arrives_as_it_was_sent(requests: list[CertificateRequest]) -> None:
    assert messages.parsed_request(messages.conversion(requests)) == requests


@given(keys=st.builds(KeyData, TEXT, TEXT, st.dictionaries(TEXT, st.binary())))
def test_data_arrives_as_it_was_sent(keys: KeyData) -> None:
    assert messages.parsed_request(messages.normalization(keys)) == keys


@given(requests=st.lists(st.builds(PasswordRequest, TEXT, TEXT)).map(tuple))
def test_passwords_arrive_as_they_were_sent(requests: tuple[PasswordRequest, ...]) -> None:
    assert messages.parsed_request(messages.hashing(requests)) == Passwords(requests)


@given(conversions=st.lists(st.builds(Conversion, st.dictionaries(TEXT, st.binary()), st.booleans())))
def test_conversions_arrive_as_they_were_sent(conversions: list[Conversion]) -> None:
    assert messages.parsed_conversions(messages.conversions_answer(conversions)) == conversions


def test_a_refusal_arrives_as_an_error_of_one_bounded_line() -> None:
    sent = SyncError(Reason.CERTIFICATE_INVALID, "x\n" * 10_000)

    with pytest.raises(SyncError) as raised:
        messages.parsed_conversions(messages.refusal(sent))

    assert raised.value.reason is Reason.CERTIFICATE_INVALID
    assert raised.value.message.startswith("x x x")
    assert len(raised.value.message.encode()) <= MAX_MESSAGE


def test_an_unexpected_error_arrives_without_its_text() -> None:
    with pytest.raises(WorkerError) as raised:
        messages.parsed_conversions(messages.failure("KeyError", "line 1"))

    assert (raised.value.error, raised.value.where) == ("KeyError", "line 1")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"conversions": 1}',
        b'{"conversions": [1]}',
        b'{"conversions": [{"files": {}}]}',
        b'{"conversions": [{"files": {}, "lacks_issuers": 1}]}',
        b'{"conversions": [{"files": {"a": "!"}, "lacks_issuers": true}]}',
        b'{"reason": "Bogus", "message": ""}',
        b'{"reason": [], "message": ""}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_no_answer(answer: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the texts are those of parsers
        messages.parsed_conversions(answer)


@given(data=st.dictionaries(TEXT, st.binary()))
def test_certificates_to_date_arrive_as_they_were_sent(data: dict[str, bytes]) -> None:
    assert messages.parsed_request(messages.dating(CertificateData(data))) == CertificateData(data)


@given(expiries=st.dictionaries(TEXT, st.integers(-(10**9), 10**11).map(lambda at: datetime.fromtimestamp(at, UTC))))
def test_dates_arrive_as_they_were_sent(expiries: dict[str, datetime]) -> None:
    assert messages.parsed_expiries(messages.expiries_answer(expiries)) == expiries


def test_a_refusal_to_date_arrives_as_an_error() -> None:
    with pytest.raises(SyncError, match="no"):
        messages.parsed_expiries(messages.refusal(SyncError(Reason.CERTIFICATE_INVALID, "no")))


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"conversions": []}',
        b'{"expiries": []}',
        b'{"expiries": {"a": "soon"}}',
        b'{"expiries": {"a": 1e300}}',
        b'{"expiries": {"a": NaN}}',
        b'{"expiries": {"a": -1e15}}',
    ],
)
def test_anything_else_has_no_dates(answer: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the texts are those of parsers
        messages.parsed_expiries(answer)


def test_the_repr_of_a_request_hides_values() -> None:
    store = StoreRequest("store", "MARKED")

    assert "MARKED" not in repr(PasswordRequest("x", "MARKED"))

    assert "MARKED" not in repr(CertificateRequest("x", "MARKED", "MARKED", key_store=store, trust_store=store))
