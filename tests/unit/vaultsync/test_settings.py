"""Settings from mappings of environment variables."""

from datetime import timedelta

import pytest

from vaultsync.settings import LogFormat, LogLevel, Settings, SettingsError


def test_without_variables_every_setting_has_its_default() -> None:
    assert Settings.from_env({"PATH": "/bin"}) == Settings()


def test_every_variable_is_read() -> None:
    settings = Settings.from_env(
        {
            "VAULTSYNC_WATCH_NAMESPACES": "shop, web",
            "VAULTSYNC_VAULT_DNS_SUFFIXES": ".example.net, .Example.org",
            "VAULTSYNC_VAULT_HOSTS": "kv.example.com,KV.example.com:8443, localhost:*",
            "VAULTSYNC_VAULT_AUTHORITIES": ".Example.net = https://login.example.net/, kv.example.com=https://l:8443",
            "VAULTSYNC_VAULT_RESOURCES": "kv.example.com=https://vault.azure.net/",
            "VAULTSYNC_CA_FILE": "/ca/ca.crt",
            "VAULTSYNC_LISTEN": "[::1]:9090",
            "VAULTSYNC_PROBES_LISTEN": "[::1]:9091",
            "VAULTSYNC_TLS_CERT_FILE": "/tls/tls.crt",
            "VAULTSYNC_TLS_KEY_FILE": "/tls/tls.key",
            "VAULTSYNC_METRICS_AUTHORIZATION": "true",
            "VAULTSYNC_CONCURRENCY": "8",
            "VAULTSYNC_VAULT_CALLS_PER_10S": "100",
            "VAULTSYNC_RECHECK_INTERVAL": "1h30m",
            "VAULTSYNC_EXPIRY_NOTICE": "72h",
            "VAULTSYNC_SHARDS": "3",
            "VAULTSYNC_LEASE_NAMESPACE": "leases",
            "VAULTSYNC_INSTALLATION": "vaultsync.platform",
            "VAULTSYNC_METRICS_PER_VAULTSECRET": "false",
            "VAULTSYNC_LOG_LEVEL": "debug",
            "VAULTSYNC_LOG_FORMAT": "json",
        }
    )

    assert settings.model_dump() == {
        "watch_namespaces": ("shop", "web"),
        "vault_dns_suffixes": (".example.net", ".example.org"),
        "vault_hosts": ("kv.example.com:443", "kv.example.com:8443", "localhost:*"),
        "vault_authorities": ((".example.net", "https://login.example.net"), ("kv.example.com", "https://l:8443")),
        "vault_resources": (("kv.example.com", "https://vault.azure.net"),),
        "ca_file": "/ca/ca.crt",
        "listen": ("::1", 9090),
        "probes_listen": ("::1", 9091),
        "tls_cert_file": "/tls/tls.crt",
        "tls_key_file": "/tls/tls.key",
        "metrics_authorization": True,
        "concurrency": 8,
        "vault_calls_per_10s": 100,
        "recheck_interval": timedelta(minutes=90),
        "expiry_notice": timedelta(days=3),
        "shards": 3,
        "lease_namespace": "leases",
        "installation": "vaultsync.platform",
        "metrics_per_vaultsecret": False,
        "log_level": LogLevel.DEBUG,
        "log_format": LogFormat.JSON,
    }


@pytest.mark.parametrize("name", ["TLS_CERT_FILE", "TLS_KEY_FILE"])
def test_a_certificate_needs_its_key_and_a_key_its_certificate(name: str) -> None:
    with pytest.raises(
        SettingsError, match="VAULTSYNC_TLS_KEY_FILE: must be set together with VAULTSYNC_TLS_CERT_FILE"
    ):
        Settings.from_env({f"VAULTSYNC_{name}": "/tls/file"})


@pytest.mark.parametrize(
    "pair",
    [
        "https://login.example.net",
        ".example.net",
        ".example.net=",
        ".example.net=http://login.example.net",
        ".example.net=login.example.net",
        ".example.net=https://login.example.net/tenant",
        ".example.net=https://user@login.example.net",
        ".example.net=https://login.example.net?a",
        "*.example.net=https://login.example.net",
        "kv.example.com:8443=https://login.example.net",
        "=https://login.example.net",
    ],
)
def test_an_authority_is_a_pair_of_a_domain_and_a_url_without_a_path(pair: str) -> None:
    with pytest.raises(SettingsError, match="VAULTSYNC_VAULT_AUTHORITIES: must"):
        Settings.from_env({"VAULTSYNC_VAULT_AUTHORITIES": pair})


@pytest.mark.parametrize("url", ["http://vault.azure.net", "https://vault.azure.net?a", "https://", "vault"])
def test_a_resource_is_an_https_url(url: str) -> None:
    with pytest.raises(SettingsError, match="VAULTSYNC_VAULT_RESOURCES: must have https URLs"):
        Settings.from_env({"VAULTSYNC_VAULT_RESOURCES": f".example.net={url}"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LEASE_NAMESPACE", "kube_system"),
        ("INSTALLATION", "Ann@laptop"),
        ("INSTALLATION", "a..b"),
        ("INSTALLATION", "a-.b"),
        ("INSTALLATION", "a" * 129),
        ("SHARDS", "0"),
    ],
)
def test_leases_have_names_that_kubernetes_accepts(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"VAULTSYNC_{name}: "):
        Settings.from_env({f"VAULTSYNC_{name}": text})


def test_an_empty_variable_is_ignored() -> None:
    assert Settings.from_env({"VAULTSYNC_CONCURRENCY": ""}) == Settings()


def test_all_errors_are_reported_at_once_with_names_and_without_values() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {
                "VAULTSYNC_CONCURRENCY": "s3cr3t",
                "VAULTSYNC_LISTEN": "s3cr3t",
                "VAULTSYNC_RECHECK_INTERVAL": "s3cr3t",
                "VAULTSYNC_LOG_LEVEL": "s3cr3t",
                "VAULTSYNC_CONCURENCY": "s3cr3t",
            }
        )

    text = str(caught.value)
    for name in ("CONCURRENCY", "LISTEN", "RECHECK_INTERVAL", "LOG_LEVEL"):
        assert f"VAULTSYNC_{name}: " in text
    assert "VAULTSYNC_CONCURENCY: unknown setting" in text
    assert "s3cr3t" not in text


@pytest.mark.parametrize(
    "name", ["SERVICE_HOST", "SERVICE_PORT_METRICS", "PORT", "PORT_8080_TCP", "METRICS_PORT_80_TCP"]
)
def test_the_variables_of_a_service_with_the_operators_name_are_ignored(name: str) -> None:
    assert Settings.from_env({f"VAULTSYNC_{name}": "10.0.0.1"}) == Settings()


@pytest.mark.parametrize("interval", ["59s", "721h"])
def test_a_recheck_interval_out_of_bounds_is_an_error(interval: str) -> None:
    with pytest.raises(SettingsError, match="RECHECK_INTERVAL"):
        Settings.from_env({"VAULTSYNC_RECHECK_INTERVAL": interval})


@pytest.mark.parametrize("suffixes", ["kv.example.com", ".vault.azure.net,localhost"])
def test_a_host_is_no_domain_of_vaults(suffixes: str) -> None:
    with pytest.raises(SettingsError, match="VAULTSYNC_VAULT_HOSTS is for hosts"):
        Settings.from_env({"VAULTSYNC_VAULT_DNS_SUFFIXES": suffixes})


@pytest.mark.parametrize(
    "host",
    ["https://kv.example.com", "kv.example.com/", "kv.example.com:", "kv:0", "kv:65536", "kv:http", ".example.com"],
)
def test_what_is_no_host_with_a_port_is_an_error(host: str) -> None:
    with pytest.raises(SettingsError, match="VAULTSYNC_VAULT_HOSTS: must be hosts"):
        Settings.from_env({"VAULTSYNC_VAULT_HOSTS": host})
