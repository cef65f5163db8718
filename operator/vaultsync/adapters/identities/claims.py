"""Reads who a token of Microsoft Entra is for; verifies nothing, since only the vault that gets the token decides."""

import base64
import binascii
import re
from typing import Final

from vaultsync.bounded_json import parse
from vaultsync.state.access import TokenClaims

MAX_TOKEN: Final = 65_536
"""Characters of a token that is read; those of Entra have some 2,000."""

_GUID: Final = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def claims_of(token: str) -> TokenClaims:
    """Return the client id and the object id that a token names; None for what it does not name.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    parts = token.split(".") if len(token) <= MAX_TOKEN else []
    document = _payload(parts[1]) if len(parts) == 3 else None  # noqa: PLR2004  header, payload, signature
    claims = document if isinstance(document, dict) else {}
    client = claims.get("appid") or claims.get("azp")
    return TokenClaims(_guid(client), _guid(claims.get("oid")))


def _payload(part: str) -> object:
    try:
        return parse(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        return None


def _guid(text: object) -> str | None:
    return text.lower() if isinstance(text, str) and _GUID.fullmatch(text) else None
