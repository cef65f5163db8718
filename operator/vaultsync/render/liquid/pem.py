"""The filters that take parts of a PEM text; they split it, and parse no certificate and no key.

Parsing is the work of another process: `dataFrom.certificate` has it done, and puts a chain in order.
"""

import re
from typing import Final

from vaultsync.render.liquid.values import ValueFreeError, text_of

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----[^-]*(?:-(?!----)[^-]*)*-----END \1-----")
_CERTIFICATES: Final = frozenset({"CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"})


def pem_certificate(value: object) -> str:
    """Return the first certificate."""
    return _certificates(value)[0]


def pem_chain(value: object) -> str:
    """Return the certificates after the first; empty if there is one."""
    return "".join(_certificates(value)[1:])


def pem_private_key(value: object) -> str:
    """Return the first private key."""
    keys = [block for label, block in _blocks(value) if label.endswith("PRIVATE KEY")]
    if not keys:
        raise _nothing("private key")
    return keys[0]


def _certificates(value: object) -> list[str]:
    certificates = [block for label, block in _blocks(value) if label in _CERTIFICATES]
    if not certificates:
        raise _nothing("certificate")
    return certificates


def _blocks(value: object) -> list[tuple[str, str]]:
    return [(found[1], f"{found[0]}\n") for found in _BLOCK.finditer(text_of(value))]


def _nothing(what: str) -> ValueFreeError:
    return ValueFreeError(
        f"there is no PEM with a {what}; for a PFX, use dataFrom.certificate and its tls.crt and tls.key"
    )
