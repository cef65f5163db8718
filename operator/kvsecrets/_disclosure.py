"""What of a service's error may be shown, by rules that look at no secret value; parses nothing.

An error's text ends in logs. A service, or whoever answers in its place, can repeat what it was sent: whole, cut,
escaped or in other letters, in any field. If the request had a secret value, only known codes are shown, what they mean
in words of the library, and request ids that are UUIDs.
https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
"""

import re
from typing import NamedTuple

MAX_MESSAGE_CHARACTERS = 1000
WITHHELD = "the service's message is withheld, since the request had a secret value"
MEANINGS = {
    "AccessDenied": "the caller lacks the permission",
    "BadParameter": "the vault rejects the request",
    "Conflict": "the secret's state does not allow it",
    "Forbidden": "the vault does not allow it",
    "ForbiddenByConnection": "public network access is disabled, and this connection uses no approved private link",
    "ForbiddenByFirewall": "the vault's firewall does not allow this client address",
    "ForbiddenByPolicy": "the caller lacks the permission in the vault's access policies",
    "ForbiddenByRbac": "the caller has no role assignment that allows it",
    "InternalServerError": "the service failed",
    "Malformed backup blob": "it is not a backup, or not one of this vault's subscription and geography",
    "ObjectIsBeingDeleted": "a secret of this name is being deleted; retry later",
    "ObjectIsBeingRecovered": "a secret of this name is being recovered; retry later",
    "ObjectIsDeletedButRecoverable": "a deleted secret has this name; recover or purge it first",
    "SecretTooLarge": "the value is longer than the service allows",
    "ServiceUnavailable": "the service is not available",
    "Throttled": "the vault received too many requests",
    "Unauthorized": "the vault does not accept the token",
}
"""Key Vault's codes of errors of a request with a secret value, and what they mean."""

_CODE = re.compile("[A-Za-z][A-Za-z0-9._ -]{0,99}")
_ID = re.compile("[0-9A-Za-z-]{1,64}")
_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class Shown(NamedTuple):
    """What is shown of an error."""

    code: str | None
    inner_code: str | None
    message: str
    request_id: str | None
    client_request_id: str | None


def shown(error: Shown, *, had_value: bool) -> Shown:
    """Return what may be shown of an error, as the service sent it; `had_value` is whether it got a secret value."""
    ids = _UUID if had_value else _ID
    return Shown(
        _shown_code(error.code, had_value=had_value),
        _shown_code(error.inner_code, had_value=had_value),
        _meaning(error) if had_value else _one_line(error.message),
        _matching(ids, error.request_id),
        _matching(ids, error.client_request_id),
    )


def _shown_code(code: str | None, *, had_value: bool) -> str | None:
    return _matching(_CODE, code) if not had_value or code in MEANINGS else None


def _meaning(error: Shown) -> str:
    meaning = MEANINGS.get(error.inner_code or "") or MEANINGS.get(error.code or "")
    return f"{meaning} ({WITHHELD})" if meaning else WITHHELD


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) else None


def _one_line(text: str) -> str:
    """Return a text in one line of limited length, without characters that control a terminal."""
    words = "".join(each if each.isprintable() else " " for each in text[: 2 * MAX_MESSAGE_CHARACTERS]).split()
    return " ".join(words)[:MAX_MESSAGE_CHARACTERS]
