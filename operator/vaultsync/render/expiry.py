"""Finds when the certificates in the data of a Secret expire, whatever its type; refuses nothing.

This is the work of another process: it takes and returns plain values, and imports little. See `adapters.certificates`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509

from vaultsync.render.pem import KeyDataError, pem_blocks
from vaultsync.render.private_keys import NO_EXTENSION, load_certificates


def certificate_expiries(data: Mapping[str, bytes]) -> dict[str, datetime]:
    """Return when the first leaf certificate of each key expires, of those that have one that can be read."""
    expiries = ((key, _expiry(content)) for key, content in data.items())
    return {key: expires for key, expires in expiries if expires is not None}


def _expiry(content: bytes) -> datetime | None:
    try:
        leaves = _leaves(load_certificates(pem_blocks(content)))
        return min((one.not_valid_after_utc for one in leaves), default=None)
    except (KeyDataError, ValueError):
        return None


def _leaves(certificates: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    """Return the certificates that are no authorities: a bundle of these has some that expired, and works.

    One that is alone counts although it says that it is an authority: `openssl req -x509` makes such for servers.
    """
    if len(certificates) == 1:
        return certificates
    return [one for one in certificates if not _is_authority(one)]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except NO_EXTENSION:
        return certificate.subject == certificate.issuer
