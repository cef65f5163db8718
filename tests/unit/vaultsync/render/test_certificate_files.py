"""The files of all certificates of a VaultSecret: in their order, and within one budget for all."""

from typing import Final

import pytest

from tests.attacks.hostile_keys import pem, slow_key
from tests.unit.vaultsync.render.authorities import a_line, a_party, in_pem, in_pkcs12, key_in_pem
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_files import certificate_files
from vaultsync.render.certificate_requests import MAX_CHARACTERS, CertificateRequest, check_size
from vaultsync.render.pem import KeyDataError
from vaultsync.render.private_keys import MAX_CERTIFICATES, MAX_ROUNDS, MAX_SIGNATURES, KeyBudget

LINE: Final = a_line(between=0)
CERTIFICATES: Final = [one.certificate for one in LINE]
PASSWORD: Final = "0pen"


def a_request(origin: str, text: str) -> CertificateRequest:
    return CertificateRequest(origin, text, password=PASSWORD)


def error_of(*requests: CertificateRequest) -> SyncError:
    with pytest.raises(SyncError) as raised:
        certificate_files(requests)
    return raised.value


def test_each_certificate_has_its_own_files_in_their_order() -> None:
    other = a_party("other")
    requests = [
        a_request("first", key_in_pem(LINE[0].key) + in_pem(CERTIFICATES)),
        a_request("second", in_pkcs12(other.key, [other.certificate], PASSWORD)),
    ]

    first, second = certificate_files(requests)

    assert first.files["tls.crt"] == in_pem([LINE[0].certificate]).encode()
    assert second.files["tls.crt"] == in_pem([other.certificate]).encode()


def test_rounds_of_all_certificates_count_together() -> None:
    some = in_pkcs12(LINE[0].key, CERTIFICATES, PASSWORD, rounds=1000)
    most = pem("ENCRYPTED PRIVATE KEY", slow_key(MAX_ROUNDS)) + in_pem(CERTIFICATES)

    error = error_of(a_request("first", some), a_request("second", most))

    assert error.reason is Reason.CERTIFICATE_INVALID
    assert error.message.startswith("second requires 3000000 rounds of key derivation; 3000000 are allowed for all ")


def test_all_certificates_count_together() -> None:
    half = key_in_pem(LINE[0].key) + in_pem(CERTIFICATES * (MAX_CERTIFICATES // 4))

    certificate_files([a_request("first", half), a_request("second", half)])
    error = error_of(*[a_request(origin, half) for origin in ("first", "second", "third")])

    assert error.message == (
        "third holds 128 certificates; 256 are allowed for a VaultSecret; leave out those that are not in its chain."
    )


def test_signatures_of_all_chains_count_together() -> None:
    budget = KeyBudget()
    for _ in range(MAX_SIGNATURES):
        budget.charge_signature()

    with pytest.raises(KeyDataError, match="too many certificates of the same name"):
        budget.charge_signature()


def test_the_size_of_all_certificates_counts_together() -> None:
    half = "A" * (MAX_CHARACTERS // 2)

    check_size([a_request("first", half), a_request("second", half)])
    with pytest.raises(SyncError, match="first and the other certificates have 1048577 characters") as raised:
        check_size([a_request("first", half), a_request("second", half + "A")])

    assert raised.value.reason is Reason.CERTIFICATE_INVALID
