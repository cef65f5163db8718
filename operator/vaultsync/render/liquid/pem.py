"""The filters that take parts of a PEM text; they split it, and parse no certificate and no key.

Parsing is the work of another process: `dataFrom.certificate` has it done, and puts a chain in order.
"""

from vaultsync.render.liquid.values import ValueFreeError, text_of
from vaultsync.render.pem import KeyDataError, PemBlock, pem_blocks


def pem_certificate(value: object) -> str:
    """Return the first certificate."""
    return _certificates(value)[0]


def pem_chain(value: object) -> str:
    """Return the certificates after the first; empty if there is one."""
    return "".join(_certificates(value)[1:])


def pem_private_key(value: object) -> str:
    """Return the first private key."""
    return _written([block for block in _blocks(value) if block.is_private_key][:1], "private key")[0]


def _certificates(value: object) -> list[str]:
    return _written([block for block in _blocks(value) if block.is_certificate], "certificate")


def _blocks(value: object) -> tuple[PemBlock, ...]:
    try:
        return pem_blocks(text_of(value).encode())
    except KeyDataError:
        return ()


def _written(blocks: list[PemBlock], what: str) -> list[str]:
    """Return blocks as every reader accepts them."""
    try:
        texts = [block.canonical.decode() for block in blocks]
    except ValueError:
        texts = []
    if not texts:
        problem = f"there is no PEM with a {what}; for a PFX, use dataFrom.certificate and its tls.crt and tls.key"
        raise ValueFreeError(problem)
    return texts
