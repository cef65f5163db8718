"""The password hashes that templates ask for: of which password, with which salt. Computes none: see `password_hashes`.

A hash has to be the same each time, or each reconcile would write another Secret, so its salt cannot be random. It is
computed from what is unique and is no secret: the VaultSecret's uid, the user, and the version in the vault. It is not
computed from the password: the salt is part of the result, so a guess could be tested without the cost of bcrypt.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

ROUNDS: Final = 10
"""The cost of bcrypt: 2 to the power of 10 rounds, some 60 ms. Servers verify it with each request."""

_SALT_BYTES: Final = 16
_TO_BCRYPT: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)
"""From base64 to bcrypt's own alphabet."""

_HASH_CHARACTERS: Final = 31


@dataclass(frozen=True, slots=True)
class PasswordRequest:
    """A password to hash; `repr` hides it."""

    salt: str
    """As bcrypt writes it, with algorithm and cost: the one that Apache's htpasswd writes, and all servers read."""
    password: str = field(repr=False)


Hashes = Mapping[PasswordRequest, str]

NO_HASHES: Final[Hashes] = {}


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """What a key holds, and the version in the vault that it is from."""

    version: str
    content: bytes = field(repr=False)


class Passwords:
    """The passwords that the templates of one target hash."""

    def __init__(self, uid: str, sources: Sequence[SourceVersion], hashes: Hashes = NO_HASHES) -> None:
        """Take what is known.

        Args:
            uid: That of the VaultSecret.
            sources: Its keys.
            hashes: The hashes that are known.
        """
        self._uid = uid
        self._sources = sources
        self._hashes = hashes
        self.missing: dict[PasswordRequest, None] = {}
        """The requests whose hash is not known, in their order."""

    def hashed(self, user: str, password: str) -> str:
        """Return the hash; if it is not known, a text of the same length, and the request is in `missing`."""
        request = PasswordRequest(self._salt(user, password), password)
        known = self._hashes.get(request)
        if known is not None:
            return known
        self.missing[request] = None
        return request.salt + "." * _HASH_CHARACTERS

    def _salt(self, user: str, password: str) -> str:
        """Return the salt, which stays until the version with the password changes.

        A text that is no key's, since it was put together, is from all of them.
        """
        content = password.encode()
        same = {one.version for one in self._sources if one.content == content}
        versions = sorted(same or {one.version for one in self._sources})
        digest = sha256(json.dumps([self._uid, user, versions]).encode()).digest()[:_SALT_BYTES]
        encoded = base64.b64encode(digest).decode().rstrip("=").translate(_TO_BCRYPT)
        return f"$2y${ROUNDS:02}${encoded}"
