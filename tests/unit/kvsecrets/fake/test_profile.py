"""What a fake vault's owner can set up, and what follows from it."""

from typing import Any

import pytest

from tests.unit.kvsecrets.fake.builders import profile


@pytest.mark.parametrize(
    ("url", "own", "paging", "resource"),
    [
        pytest.param(
            "https://shop.vault.azure.net/",
            "https://shop.vault.azure.net",
            "https://shop.vault.azure.net:443",
            "https://vault.azure.net",
            id="a vault in Azure",
        ),
        pytest.param(
            "https://shop.vault.usgovcloudapi.net:443",
            "https://shop.vault.usgovcloudapi.net",
            "https://shop.vault.usgovcloudapi.net:443",
            "https://vault.usgovcloudapi.net",
            id="a vault in another cloud, with the default port",
        ),
        pytest.param(
            "https://localhost:8443",
            "https://localhost:8443",
            "https://localhost:8443",
            "https://localhost",
            id="a vault on this machine",
        ),
    ],
)
def test_ids_have_no_default_port_and_links_to_pages_always_have_one(
    url: str, own: str, paging: str, resource: str
) -> None:
    vault = profile(url)

    assert (vault.url, vault.paging_url, vault.resource) == (own, paging, resource)


@pytest.mark.parametrize("url", ["http://shop.vault.azure.net", "https://", "shop"])
def test_a_vault_without_https_or_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https://<host>"):
        profile(url)


@pytest.mark.parametrize("days", [6, 91])
def test_a_retention_that_no_vault_has_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="7 to 90 days"):
        profile(recoverable_days=days)


@pytest.mark.parametrize(
    ("changes", "level", "days"),
    [
        pytest.param({}, "Recoverable+Purgeable", 90, id="full retention"),
        pytest.param({"recoverable_days": 7}, "CustomizedRecoverable+Purgeable", 7, id="shorter retention"),
        pytest.param({"purge_protection": True}, "Recoverable", 90, id="purge protection"),
        pytest.param({"soft_delete": False}, "Purgeable", 0, id="no soft-delete"),
    ],
)
def test_the_recovery_level_says_what_deletion_means(changes: dict[str, Any], level: str, days: int) -> None:
    vault = profile(**changes)

    assert (vault.recovery_level, vault.recoverable_days) == (level, days)
