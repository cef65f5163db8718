"""The filter that writes a line of an htpasswd file; it has the hash computed, and computes none."""

from typing import Final

from vaultsync.render.liquid.context import Context
from vaultsync.render.liquid.values import ValueFreeError, text_of

MAX_PASSWORD: Final = 72
"""In bytes: bcrypt ignores what follows."""

_MAX_USER: Final = 255
"""In characters: https://httpd.apache.org/docs/current/programs/htpasswd.html#restrictions"""


def htpasswd(value: object, user: object, *, context: Context | None = None) -> str:
    """Return the user and the bcrypt hash of the password."""
    password, name = text_of(value), text_of(user)
    if not 0 < len(password.encode()) <= MAX_PASSWORD or "\0" in password:
        raise ValueFreeError(f"htpasswd accepts a password of 1 to {MAX_PASSWORD} bytes, as much as bcrypt uses")
    if not 0 < len(name) <= _MAX_USER or ":" in name or not name.isprintable():
        raise ValueFreeError(f"htpasswd accepts a user of 1 to {_MAX_USER} printable characters without a colon")
    if context is None or context.passwords is None:
        raise ValueFreeError("htpasswd is for keys of the Secret")
    context.budget.charge_hash()
    return f"{name}:{context.passwords.hashed(name, password)}"


htpasswd.with_context = True  # type: ignore[attr-defined]  # how python-liquid marks such filters
