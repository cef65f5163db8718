"""What is logged, and what never is."""

import logging

import pytest

from kvsecrets._log import log_exchange, log_pause
from kvsecrets._wire import Request, Response
from kvsecrets.errors import ConnectionFailed, KeyVaultError

HEADERS = {"authorization": "Bearer hush", "content-type": "application/json"}
REQUEST = Request("PUT", "https://shop.vault.azure.net/secrets/db?api-version=7.4&$skiptoken=hush", HEADERS, b"hush")
ANSWER = Response(
    200,
    {"x-ms-request-id": "theirs", "x-ms-keyvault-region": "westus2", "set-cookie": "hush", "x-new": "hush"},
    b"hush",
)


def test_an_exchange_is_one_line_with_what_support_asks_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    log_exchange(REQUEST, "ours", ANSWER, 0.0123)

    [record] = caplog.records
    assert record.getMessage() == (
        "PUT shop.vault.azure.net/secrets/db: 200 in 12 ms, request id theirs, client request id ours, "
        "{'x-ms-keyvault-region': 'westus2'}"
    )


@pytest.mark.parametrize("outcome", [ANSWER, ConnectionFailed("gone")], ids=["an answer", "a failure"])
def test_values_tokens_queries_and_unknown_headers_are_never_logged(
    outcome: Response | KeyVaultError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    log_exchange(REQUEST, "ours", outcome, 0)

    assert len(caplog.records) == 1
    assert "hush" not in caplog.text


def test_a_failure_is_logged_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    log_exchange(REQUEST, "ours", ConnectionFailed("gone"), 0)

    assert "PUT shop.vault.azure.net/secrets/db: ConnectionFailed in 0 ms" in caplog.text


def test_exchanges_are_details_and_waits_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kvsecrets")

    log_exchange(REQUEST, "ours", ANSWER, 0)
    log_pause(1.234)

    assert [record.getMessage() for record in caplog.records] == ["waiting 1.2 s before the next request"]
