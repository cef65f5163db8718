"""An authority for servers that the tests start on sockets of their own, and clients that trust it."""

from pathlib import Path

import pytest
import trustme


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make an authority that is trusted nowhere yet."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients trust this test's authority, by httpx's own means, and wait for a busy machine to connect."""
    monkeypatch.setattr("kvsecrets._transport.MAX_CONNECT_SECONDS", 60.0)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
