"""Checks the data of a Secret by the rules of those who read its type, and repairs what means the same to them.

Kubernetes checks little more than the keys; without these checks, the workloads that use the Secret would fail later.
What one of its readers accepts is not refused, and what this library cannot read is not called broken. That keys exist
is checked in the API. https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
"""

from collections.abc import Mapping, Sequence
from typing import Final

from cryptography import x509

from vaultsync.render.data_rules import RULES, InvalidKey, Rule, by_rule
from vaultsync.render.pem import BEGIN, KeyDataError, PemBlock, is_readable_by_all, pem_blocks
from vaultsync.render.private_keys import MAX_CERTIFICATES, UNREADABLE, is_whole_openssh_key, load_key
from vaultsync.render.strict_base64 import decode_base64

_TLS: Final = "kubernetes.io/tls"
_CRT: Final = "tls.crt"
_KEY: Final = "tls.key"
_CA: Final = "ca.crt"
_SSH: Final = "ssh-privatekey"
_PUTTY: Final = b"PuTTY-User-Key-File"
_SEQUENCE: Final = b"\x30"
_OTHER_FILES: Final = {
    b"PKCS7": "a PKCS#7 file; convert it with openssl pkcs7 -print_certs",
    b"TRUSTED CERTIFICATE": "one that openssl alone reads; convert it with openssl x509",
    b"CERTIFICATE REQUEST": "a request for one; store what the certificate authority made of it",
}
"""What is no certificate, by its label, and what to do then."""


def normalized_data(secret_type: str, data: Mapping[str, bytes], *, target: str) -> dict[str, bytes]:
    """Return the data as all readers of the Secret's type accept it, whatever the type; see `by_rule`."""
    return by_rule(secret_type, data, target=target, rules=_RULES)


def _tls(data: Mapping[str, bytes]) -> dict[str, bytes]:
    """Apply the rule of Go's tls.X509KeyPair, which kubectl applies, too: the first key, and the first certificate."""
    found = _blocks(_CRT, data)
    certificates = [block for block in found if block.is_certificate]
    keys = [block for block in _blocks(_KEY, data) if block.is_private_key]
    if not keys:
        raise InvalidKey(_KEY, f"holds no private key{_hint(data.get(_KEY, b''))}")
    if not certificates:
        other = next((f", but {_OTHER_FILES[one.label]}" for one in found if one.label in _OTHER_FILES), None)
        raise InvalidKey(_CRT, f"holds no certificate in PEM{other or _hint(data.get(_CRT, b''))}")
    for block in certificates:
        _check(_CRT, block, "certificate")
    _check_pair(keys[0], certificates)
    files = {name: _readable(name, data) for name in (_CRT, _CA) if name in data}
    return files | {_KEY: data[_KEY] if is_readable_by_all(data[_KEY], _blocks(_KEY, data)) else keys[0].canonical}


def lacks_issuers(secret_type: str, data: Mapping[str, bytes]) -> bool:
    """Return whether normalized data has a certificate alone whose issuer is neither itself nor in ca.crt."""
    if secret_type != _TLS:
        return False
    found = [block for block in pem_blocks(data[_CRT]) if block.is_certificate]
    if len(found) > 1:
        return False
    try:
        certificate = x509.load_der_x509_certificate(found[0].der)
        authorities = [block for block in pem_blocks(data.get(_CA, b"")) if block.is_certificate]
        names = {x509.load_der_x509_certificate(block.der).subject for block in authorities[:MAX_CERTIFICATES]}
        lacks = certificate.issuer not in {certificate.subject, *names}
    except UNREADABLE:
        return False
    return lacks


def _check_pair(key: PemBlock, certificates: Sequence[PemBlock]) -> None:
    own = _tls_public_key(key)
    first = _certified_key(certificates[0])
    if own is None or first is None or own == first:
        return
    if any(_certified_key(block) == own for block in certificates[1:]):
        raise InvalidKey(_CRT, "does not begin with the certificate for tls.key; put it first")
    raise InvalidKey(_CRT, "holds no certificate for tls.key")


def _tls_public_key(block: PemBlock) -> object | None:
    """Return the public key of a private key that a server can load; None if this library cannot read it."""
    if block.is_openssh:
        raise InvalidKey(
            _KEY, "holds a private key in the format of OpenSSH; convert it with ssh-keygen -p -m PKCS8 -f FILE"
        )
    if block.is_protected:
        raise InvalidKey(_KEY, "holds a private key that is protected by a password, for which a server would wait")
    _check(_KEY, block, "private key")
    try:
        return load_key(block, None).public_key()
    except KeyDataError as error:
        raise InvalidKey(_KEY, str(error)) from None
    except UNREADABLE:
        return None


def _certified_key(block: PemBlock) -> object | None:
    """Return the public key of a certificate; None if this library cannot read it."""
    try:
        return x509.load_der_x509_certificate(block.der).public_key()
    except UNREADABLE:
        return None


def _ssh_auth(data: Mapping[str, bytes]) -> dict[str, bytes]:
    """Apply OpenSSH's rule: the first key, in its own format from the first byte to a line end after the last line."""
    content = data.get(_SSH, b"")
    blocks = _blocks(_SSH, data)
    key = next((block for block in blocks if block.is_private_key), None)
    if key is None:
        if content.startswith(_PUTTY):
            raise InvalidKey(_SSH, "holds a key in the format of PuTTY; convert it with puttygen -O private-openssh")
        raise InvalidKey(_SSH, f"holds no private key{_hint(content)}")
    _check(_SSH, key, "private key")
    try:
        load_key(key, None)
    except KeyDataError as error:
        raise InvalidKey(_SSH, str(error)) from None
    except UNREADABLE:
        pass  # a passphrase protects it, which only the workload needs, or it is of a kind that OpenSSH alone knows
    is_fit = content.startswith(BEGIN) and key is blocks[0] and is_readable_by_all(content, blocks)
    return {_SSH: content if is_fit else key.canonical}


def _blocks(key: str, data: Mapping[str, bytes]) -> tuple[PemBlock, ...]:
    try:
        return pem_blocks(data.get(key, b""))
    except KeyDataError as error:
        raise InvalidKey(key, str(error)) from None


def _check(key: str, block: PemBlock, kind: str) -> None:
    """Check that a block is whole: that it is base64, and its parts fit."""
    try:
        block.check_depth(kind)
        is_whole = _is_whole(block)
    except KeyDataError as error:
        raise InvalidKey(key, str(error)) from None
    except ValueError:
        is_whole = False
    if not is_whole:
        raise InvalidKey(key, f"holds a {kind} that cannot be read")


def _is_whole(block: PemBlock) -> bool:
    if block.is_openssh:
        return is_whole_openssh_key(block.der)
    return block.der.startswith(_SEQUENCE) if block.has_visible_der else bool(block.der)


def _readable(key: str, data: Mapping[str, bytes]) -> bytes:
    """Return PEM as every reader accepts it: as it is, or its blocks alone; what has no block stays as it is."""
    content, blocks = data[key], _blocks(key, data)
    if is_readable_by_all(content, blocks):
        return content
    try:
        return b"".join(block.canonical for block in blocks)
    except ValueError:
        raise InvalidKey(key, "holds PEM that is not base64; set it again in the vault, from a file") from None


def _hint(content: bytes) -> str:
    """Return what the content may be in place of what it must be, and what to do then."""
    try:
        decoded = decode_base64(content)
    except ValueError:
        return ""
    if BEGIN in decoded:
        return ", but the base64 of a PEM file; set encoding: Base64 on its entry"
    if decoded.startswith(_SEQUENCE):
        return ", but the base64 of a binary file; read PKCS#12 by dataFrom.certificate"
    return ""


_RULES: Final[Mapping[str, Rule]] = {**RULES, _TLS: _tls, "kubernetes.io/ssh-auth": _ssh_auth}
