"""Requests and answers are values whose text form shows neither headers nor bodies."""

import pytest

from kvsecrets._wire import Request, Response


@pytest.mark.parametrize(
    "exchange",
    [
        Request("PUT", "https://shop.vault.azure.net/secrets/db", {"authorization": "Bearer hush"}, b"hush"),
        Response(200, {"x-test": "hush"}, b"hush"),
    ],
    ids=["a request", "an answer"],
)
def test_the_text_form_hides_headers_and_body(exchange: Request | Response) -> None:
    assert "hush" not in repr(exchange)
