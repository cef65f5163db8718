"""The configuration of a fake vault, and the bodies of its errors."""

import json
from typing import Any

import pytest

from kvsecrets._fake import errors
from tests.unit.kvsecrets.fake.builders import config


@pytest.mark.parametrize(
    ("url", "own", "paging", "resource"),
    [
        pytest.param(
            "https://shop.vault.azure.net/",
            "https://shop.vault.azure.net",
            "https://shop.vault.azure.net:443",
            "https://vault.azure.net",
            id="Azure",
        ),
        pytest.param(
            "https://shop.vault.usgovcloudapi.net:443",
            "https://shop.vault.usgovcloudapi.net",
            "https://shop.vault.usgovcloudapi.net:443",
            "https://vault.usgovcloudapi.net",
            id="another cloud, with the default port",
        ),
        pytest.param(
            "https://localhost:8443",
            "https://localhost:8443",
            "https://localhost:8443",
            "https://localhost",
            id="localhost",
        ),
    ],
)
def test_ids_have_no_default_port_and_page_links_have_one(url: str, own: str, paging: str, resource: str) -> None:
    vault = config(url)

    assert (vault.url, vault.paging_url, vault.resource) == (own, paging, resource)


@pytest.mark.parametrize("url", ["http://shop.vault.azure.net", "https://", "shop"])
def test_a_url_without_https_or_host_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="https://<host>"):
        config(url)


@pytest.mark.parametrize("days", [6, 91])
def test_an_invalid_retention_is_rejected(days: int) -> None:
    with pytest.raises(ValueError, match="7 to 90 days"):
        config(recoverable_days=days)


@pytest.mark.parametrize(
    ("changes", "level", "days"),
    [
        pytest.param({}, "Recoverable+Purgeable", 90, id="full retention"),
        pytest.param({"recoverable_days": 7}, "CustomizedRecoverable+Purgeable", 7, id="shorter retention"),
        pytest.param({"purge_protection": True}, "Recoverable", 90, id="purge protection"),
        pytest.param({"soft_delete": False}, "Purgeable", 0, id="no soft-delete"),
    ],
)
def test_the_recovery_level_depends_on_retention_and_protection(changes: dict[str, Any], level: str, days: int) -> None:
    vault = config(**changes)

    assert (vault.recovery_level, vault.recoverable_days) == (level, days)


# Errors.


def test_an_inner_code_is_present_only_if_the_service_returns_one() -> None:
    assert errors.secret_disabled().body == {
        "error": {
            "code": "Forbidden",
            "message": "Operation get is not allowed on a disabled secret.",
            "innererror": {"code": "SecretDisabled"},
        }
    }
    assert "innererror" not in json.dumps(errors.not_found("db").body)


def test_the_text_of_an_error_has_status_code_and_message() -> None:
    assert str(errors.method_not_allowed("PUT")) == "405 MethodNotAllowed: HTTP PUT not allowed"


def test_retry_after_is_present_only_if_it_is_given() -> None:
    assert errors.throttled(None).headers == {}
    assert errors.throttled(3).headers == {"retry-after": "3"}


def test_an_unknown_api_version_is_named() -> None:
    error = errors.unknown_api_version("1.0")

    assert error.code == "BadParameter"
    assert error.message.startswith("The specified version (1.0) is not recognized.")
