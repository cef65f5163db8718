"""What is asked of a certificate, and what it became: plain values for the process that converts it; converts none.

See `certificate_files` and `adapters.certificates`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from vaultsync.errors import Reason, SyncError

MAX_CHARACTERS: Final = 1024 * 1024
"""Of all certificates together: a Secret holds no more, and Key Vault at most 25 KiB for each."""

Files = dict[str, bytes]
"""Contents by key."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a certificate, or the data of a Secret, became; `repr` hides it."""

    files: Files = field(repr=False)
    lacks_issuers: bool = False
    """Whether clients may miss an intermediate certificate: see `CertifiedKey.lacks_issuers`."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A store for Java; `repr` hides the password."""

    key: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A certificate as the vault holds it, and the files that are requested of it; `repr` hides values."""

    origin: str
    """The name for messages of the value."""
    text: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    ca: bool = False
    key_store: StoreRequest | None = None
    trust_store: StoreRequest | None = None


def check_size(requests: Sequence[CertificateRequest]) -> None:
    """Check that there is not too much to convert.

    Raises:
        SyncError: CertificateInvalid, if there is.
    """
    length = sum(len(request.text) for request in requests)
    if length > MAX_CHARACTERS:
        raise SyncError(
            Reason.CERTIFICATE_INVALID,
            f"{requests[0].origin} and the other certificates have {length} characters; {MAX_CHARACTERS} are allowed.",
        )


def chain_warnings(requests: Sequence[CertificateRequest], conversions: Sequence[Conversion]) -> tuple[str, ...]:
    """Return a sentence for each certificate whose chain may be incomplete."""
    lacking = (request.origin for request, done in zip(requests, conversions, strict=True) if done.lacks_issuers)
    return tuple(map(chain_warning, lacking))


def chain_warning(origin: str) -> str:
    """Return the sentence for a chain that may be incomplete; `origin` is the name of what holds it."""
    return (
        f"{origin} does not hold the certificate that issued the last one of its chain. Unless that is a root that all "
        "clients have, add it to the certificate in the vault: they will not trust the server."
    )
