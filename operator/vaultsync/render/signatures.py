"""Checks by whose key a certificate is signed, with any algorithm; judges no algorithm, so it is no evidence for trust.

`Certificate.verify_directly_issued_by` refuses algorithms that are out of fashion: a third of the roots that systems
trust are signed with SHA-1, by themselves, where the signature proves nothing and no client verifies it.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import SignatureAlgorithmOID

_EDWARDS: Final = frozenset({SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448})


def is_signed_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether a certificate's signature is by the issuer's key; names are not compared.

    Raises:
        UnsupportedAlgorithm: The kind of key or of signature is not known.
    """
    try:
        return _verify(subject, issuer.public_key())
    except InvalidSignature:
        return False
    except (InternalError, ValueError):
        pass
    raise UnsupportedAlgorithm("a key or a signature that cannot be read")


def _verify(subject: x509.Certificate, key: object) -> bool:
    """Verify the signature; return whether it is of the key's kind. Raises `InvalidSignature`."""
    signature, signed, algorithm = subject.signature, subject.tbs_certificate_bytes, subject.signature_algorithm_oid
    match subject.signature_algorithm_parameters, key:
        case (PKCS1v15() | PSS()) as padding, RSAPublicKey():
            hashed = subject.signature_hash_algorithm
            assert hashed is not None  # otherwise there are no parameters
            key.verify(signature, signed, padding, hashed)
        case ECDSA() as ecdsa, EllipticCurvePublicKey():
            key.verify(signature, signed, ecdsa)
        case None, Ed25519PublicKey() if algorithm == SignatureAlgorithmOID.ED25519:
            key.verify(signature, signed)
        case None, Ed448PublicKey() if algorithm == SignatureAlgorithmOID.ED448:
            key.verify(signature, signed)
        case None, _ if algorithm not in _EDWARDS:
            raise UnsupportedAlgorithm("a kind of signature that is not known")
        case _:
            return False
    return True
