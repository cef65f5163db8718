"""What the texts, maps and times of a spec become; what they refuse stands in the table of wrong manifests."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vaultsync.api.fields import Labels, Moment, RefreshInterval, VaultUrl

URLS: TypeAdapter[str] = TypeAdapter(VaultUrl)
MOMENTS: TypeAdapter[datetime] = TypeAdapter(Moment)
INTERVALS: TypeAdapter[timedelta] = TypeAdapter(RefreshInterval)
LABELS: TypeAdapter[Any] = TypeAdapter(Labels)

PARTS = st.from_regex(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,8}[a-zA-Z0-9])?", fullmatch=True)
PORTS = st.none() | st.integers(1, 65535)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://shop.vault.azure.net", "https://shop.vault.azure.net"),
        ("https://shop.vault.azure.net/", "https://shop.vault.azure.net"),
        ("https://Shop.Vault.azure.net", "https://shop.vault.azure.net"),
        ("https://shop.vault.azure.net:443/", "https://shop.vault.azure.net"),
        ("https://localhost:8443", "https://localhost:8443"),
    ],
)
def test_a_vault_has_one_url_however_it_is_written(written: str, kept: str) -> None:
    assert URLS.validate_python(written) == kept


@given(st.lists(PARTS, min_size=1, max_size=4), PORTS, st.sampled_from(["", "/"]))
def test_a_vaults_one_url_is_accepted_and_stays_as_it_is(parts: list[str], port: int | None, end: str) -> None:
    kept = URLS.validate_python(f"https://{'.'.join(parts)}{f':{port}' if port else ''}{end}")

    assert URLS.validate_python(kept) == kept


@pytest.mark.parametrize("port", ["0", "08", "65536", "99999", "100000", ""])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ValidationError, match="must be the vault's URI"):
        URLS.validate_python(f"https://shop.vault.azure.net:{port}")


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])).filter(lambda m: 1 < m.year < 9999))
def test_a_moment_is_utc_to_the_second_and_survives_the_wire(moment: datetime) -> None:
    kept = MOMENTS.validate_python(moment)

    assert kept.tzinfo is UTC
    assert timedelta() <= moment - kept < timedelta(seconds=1)
    assert MOMENTS.validate_python(MOMENTS.dump_python(kept, mode="json")) == kept


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        MOMENTS.validate_python("2026-03-01T12:00:00")


def test_an_interval_is_written_as_people_write_it() -> None:
    assert INTERVALS.dump_python(timedelta(minutes=90), mode="json") == "1h30m"


@pytest.mark.parametrize("text", ["10s", "24h"])
def test_the_bounds_of_an_interval_are_within(text: str) -> None:
    INTERVALS.validate_python(text)


@pytest.mark.parametrize("key", ["vaultsync.devil/x", "my-vaultsync.dev/x", "app.kubernetes.io/managed-by-me"])
def test_only_our_own_keys_are_reserved(key: str) -> None:
    assert LABELS.validate_python({key: "x"}) == {key: "x"}


@pytest.mark.parametrize(("length", "allowed"), [(253, True), (254, False)])
def test_a_keys_prefix_is_as_long_as_kubernetes_allows(length: int, allowed: bool) -> None:
    key = f"{'a' * length}/team"

    if allowed:
        assert LABELS.validate_python({key: "x"}) == {key: "x"}
    else:
        with pytest.raises(ValidationError, match="each key must be a name"):
            LABELS.validate_python({key: "x"})
