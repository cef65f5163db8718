"""Where an identity logs in is decided by the vault's domain and by settings."""

import pytest
from azure.identity import AzureAuthorityHosts

from vaultsync.adapters.identities.authorities import CLOUDS, Authorities
from vaultsync.settings import KEY_VAULT_DNS_SUFFIXES

PUBLIC = "https://login.microsoftonline.com"
GOVERNMENT = "https://login.microsoftonline.us"
CHINA = "https://login.chinacloudapi.cn"
STACK = "https://adfs.local.azurestack.external"
DOMAINS = {".vault.local.azurestack.external": STACK, "kv.example.com": GOVERNMENT, ".example.com": CHINA}


def test_every_cloud_has_the_authority_of_azure_identity() -> None:
    known = (getattr(AzureAuthorityHosts, name) for name in dir(AzureAuthorityHosts) if name.startswith("AZURE_"))

    assert set(CLOUDS) == set(KEY_VAULT_DNS_SUFFIXES)
    assert {PUBLIC, GOVERNMENT, CHINA} == set(CLOUDS.values()) <= {f"https://{host}" for host in known}


@pytest.mark.parametrize(
    ("vault_url", "authority"),
    [
        ("https://shop.vault.azure.net", PUBLIC),
        ("https://shop.vault.usgovcloudapi.net", GOVERNMENT),
        ("https://shop.vault.azure.cn", CHINA),
        ("https://SHOP.VAULT.AZURE.CN", CHINA),
        ("https://shop.vault.local.azurestack.external", STACK),
        ("https://kv.example.com:8443", GOVERNMENT),
        ("https://other.example.com", CHINA),
        ("https://vault.azure.cn", PUBLIC),
        ("https://vault.usgovcloudapi.net.example", PUBLIC),
        ("https://unknown.example", PUBLIC),
    ],
)
def test_the_authority_is_that_of_the_longest_domain_that_the_vault_is_in(vault_url: str, authority: str) -> None:
    authorities = Authorities(DOMAINS)

    assert (authorities.of_grant(vault_url), authorities.of_own(vault_url)) == (authority, authority)


def test_the_environment_says_where_the_operators_own_identity_is_registered() -> None:
    authorities = Authorities(DOMAINS, of_environment=CHINA)

    assert authorities.of_own("https://shop.vault.azure.net") == ""
    assert authorities.of_grant("https://shop.vault.azure.net") == PUBLIC
    assert authorities.of_grant("https://unknown.example") == CHINA


def test_a_setting_replaces_the_authority_of_a_cloud() -> None:
    authorities = Authorities({".vault.azure.net": CHINA})

    assert authorities.of_grant("https://shop.vault.azure.net") == CHINA


def test_only_hosts_that_the_settings_name_have_a_resource_of_their_own() -> None:
    authorities = Authorities(resources={"kv.example.com": "https://vault.azure.net"})

    assert authorities.resource("https://kv.example.com:8443") == "https://vault.azure.net"
    assert authorities.resource("https://shop.vault.azure.net") is None
