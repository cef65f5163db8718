"""What both kinds of connections share: the proxy of a host, by the environment."""

from collections.abc import Callable

import pytest

from kvsecrets import _aiohttp, _transport
from kvsecrets.errors import ConnectionFailed, ConnectionProblem

Found = tuple[str, dict[str, str]]
Lookup = Callable[[str], Found | None]

LOGIN = {"proxy-authorization": "Basic a2VlcGVyOnMzY3IzdCM="}
"""That of the user `keeper` with the password `s3cr3t#`."""


def of_httpx(host: str) -> Found | None:
    proxy = _transport.proxy_to(host)
    if proxy is None:
        return None
    user, password = proxy.raw_auth or (b"", b"")
    assert (user, password) in {(b"keeper", b"s3cr3t#"), (b"", b"")}
    return f"{proxy.url.host}:{proxy.url.port or 80}", LOGIN if user else {}


def of_aiohttp(host: str) -> Found | None:
    proxy = _aiohttp.proxy_to(host)
    if proxy.address is None:
        return None
    assert "s3cr3t" not in repr(proxy.url)
    return proxy.address, dict(proxy.headers or {})


both = pytest.mark.parametrize("proxy_to", [of_httpx, of_aiohttp], ids=["threads", "asyncio"])


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@both
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("url", ["http://keeper:s3cr3t%23@proxy:3128", "keeper:s3cr3t%23@proxy:3128"])
def test_a_proxy_is_that_of_the_environment(
    proxy_to: Lookup, name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proxy_to("shop.vault.azure.net") is None
    monkeypatch.setenv(name, url)

    assert proxy_to("shop.vault.azure.net") == ("proxy:3128", LOGIN)


@both
def test_a_proxy_for_https_comes_before_one_for_everything(proxy_to: Lookup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://everything:1080")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    assert proxy_to("shop.vault.azure.net") == ("proxy:3128", {})


@both
@pytest.mark.parametrize(
    ("listed", "bypassed"),
    [
        ("shop.vault.azure.net", True),
        (".vault.azure.net", True),
        ("vault.azure.net", True),
        ("fd00::/8, 10.0.0.0/8, [::1], Vault.Azure.Net", True),
        ("*", True),
        ("azure.example.com,10.0.0.0/8", False),
        ("fd00::/8,[::1]:443,é", False),
    ],
)
def test_no_proxy_lists_hosts_and_domains_and_may_list_what_is_neither(
    proxy_to: Lookup, listed: str, bypassed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", listed)

    assert (proxy_to("shop.vault.azure.net") is None) is bypassed


@both
@pytest.mark.parametrize("url", ["http://keeper:s3cr3t#@proxy:1", "ftp://keeper:s3cr3t@proxy"])
def test_a_proxy_that_cannot_be_used_is_a_failed_connection(
    proxy_to: Lookup, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)

    with pytest.raises(ConnectionFailed, match="HTTPS_PROXY") as caught:
        proxy_to("shop.vault.azure.net")

    assert caught.value.problem is ConnectionProblem.PROXY
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__context__ is None
