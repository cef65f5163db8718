"""Hashes passwords for htpasswd files. This is the work of another process, as it takes time by design.

https://httpd.apache.org/docs/current/misc/password_encryptions.html
"""

from collections.abc import Sequence

import bcrypt

from vaultsync.render.passwords import PasswordRequest


def password_hashes(requests: Sequence[PasswordRequest]) -> list[str]:
    """Return the bcrypt hash of each password."""
    return [bcrypt.hashpw(one.password.encode(), one.salt.encode()).decode() for one in requests]
