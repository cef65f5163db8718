"""Who a token is for, as far as it is one that Microsoft Entra could have issued."""

import base64
import json

import pytest

from vaultsync.adapters.identities.claims import MAX_TOKEN, claims_of
from vaultsync.state.access import TokenClaims

CLIENT = "11111111-1111-1111-1111-11111111111a"
OBJECT = "22222222-2222-2222-2222-22222222222b"


def token(payload: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"e30.{part}.signature"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token({"appid": CLIENT.upper(), "oid": OBJECT}), TokenClaims(CLIENT, OBJECT)),
        (token({"azp": CLIENT}), TokenClaims(CLIENT)),
        (token({"appid": "<b>bold</b>", "oid": 7}), TokenClaims()),
        (token([CLIENT]), TokenClaims()),
        ("not a token", TokenClaims()),
        ("a.b.c", TokenClaims()),
        ("a.é.c", TokenClaims()),
        (f"e30.{base64.urlsafe_b64encode(b'[' * 30_000).decode()}.s", TokenClaims()),
        (token({"appid": CLIENT, "more": "x" * MAX_TOKEN}), TokenClaims()),
    ],
)
def test_only_ids_are_taken_from_a_token(text: str, expected: TokenClaims) -> None:
    assert claims_of(text) == expected
