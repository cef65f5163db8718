"""Converts the certificates of one VaultSecret into the files of its Secret, within one budget for all of them.

This is the work of another process: see `adapters.certificates`. The operator itself imports `certificate_requests`.
"""

from collections.abc import Sequence

from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_requests import CertificateRequest, Conversion
from vaultsync.render.certificates import CertifiedKey, load_certified_key
from vaultsync.render.keystores import key_store, trust_store
from vaultsync.render.private_keys import KeyBudget


def certificate_files(requests: Sequence[CertificateRequest]) -> list[Conversion]:
    """Return the files of each certificate.

    Raises:
        SyncError: CertificateInvalid, or InvalidSpec for a key that is filled twice.
    """
    budget = KeyBudget()
    return [_files(request, budget) for request in requests]


def _files(request: CertificateRequest, budget: KeyBudget) -> Conversion:
    certified = load_certified_key(
        request.text,
        origin=request.origin,
        password=request.password,
        budget=budget,
    )
    files = [("tls.crt", certified.tls_crt), ("tls.key", certified.tls_key), *_optional_files(request, certified)]
    data = dict(files)
    if len(data) < len(files):
        raise SyncError(Reason.INVALID_SPEC, f"{request.origin} fills a key twice; give its stores other keys.")
    return Conversion(data, certified.lacks_issuers)


def _optional_files(request: CertificateRequest, certified: CertifiedKey) -> list[tuple[str, bytes]]:
    files: list[tuple[str, bytes]] = []
    if request.ca:
        files.append(("ca.crt", certified.ca_crt))
    if (store := request.key_store) is not None:
        files.append((store.key, key_store(certified, store.password)))
    if (store := request.trust_store) is not None:
        files.append((store.key, trust_store(certified, store.password)))
    return files
