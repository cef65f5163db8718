"""How the texts, maps, durations and times of a spec are read; what they reject is in `tests/manifests.py`."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vaultsync.api.fields import Labels, RefreshInterval, Timestamp, VaultUrl, format_duration, parse_duration
from vaultsync.api.grants import KeyRef, WorkloadIdentityRef
from vaultsync.api.model import Model
from vaultsync.api.v1alpha1 import Restart, TargetSpec

URLS: TypeAdapter[str] = TypeAdapter(VaultUrl)
TIMESTAMPS: TypeAdapter[datetime] = TypeAdapter(Timestamp)
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
def test_a_normalized_url_is_accepted_and_unchanged(parts: list[str], port: int | None, end: str) -> None:
    kept = URLS.validate_python(f"https://{'.'.join(parts)}{f':{port}' if port else ''}{end}")

    assert URLS.validate_python(kept) == kept


@pytest.mark.parametrize("port", ["0", "08", "65536", "99999", "100000", ""])
def test_an_invalid_port_is_rejected(port: str) -> None:
    with pytest.raises(ValidationError, match="must be the vault's URI"):
        URLS.validate_python(f"https://shop.vault.azure.net:{port}")


@pytest.mark.parametrize(
    ("model", "field", "kind"),
    [
        (TargetSpec, "name", "a Secret's"),
        (KeyRef, "name", "a Secret's"),
        (WorkloadIdentityRef, "serviceAccountName", "a ServiceAccount's"),
        (Restart, "name", "a workload's"),
    ],
)
def test_an_invalid_name_is_rejected_by_the_kind_that_it_is_of(model: type[Model], field: str, kind: str) -> None:
    with pytest.raises(ValidationError, match=f"must be {kind} name: lower-case letters"):
        model.model_validate({field: "Reader"})


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])).filter(lambda m: 1 < m.year < 9999))
def test_a_timestamp_is_utc_to_the_second_and_survives_the_wire(moment: datetime) -> None:
    kept = TIMESTAMPS.validate_python(moment)

    assert kept.tzinfo is UTC
    assert timedelta() <= moment - kept < timedelta(seconds=1)
    assert TIMESTAMPS.validate_python(TIMESTAMPS.dump_python(kept, mode="json")) == kept


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_out_of_range_in_utc_is_rejected(text: str) -> None:
    with pytest.raises(ValidationError, match="between the years 1 and 9999"):
        TIMESTAMPS.validate_python(text)


def test_a_time_without_a_zone_is_rejected() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        TIMESTAMPS.validate_python("2026-03-01T12:00:00")


def test_an_interval_is_dumped_in_the_notation_of_manifests() -> None:
    assert INTERVALS.dump_python(timedelta(minutes=90), mode="json") == "1h30m"


@pytest.mark.parametrize("text", ["10s", "24h"])
def test_the_bounds_of_an_interval_are_inclusive(text: str) -> None:
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


@given(st.integers(0, 86_400 * 365))
def test_a_formatted_duration_parses_to_itself(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2m", 120), ("1h30m", 5400), ("90m", 5400), ("0s", 0), ("1s1s", 2), ("007s", 7)],
)
def test_the_parts_of_a_duration_are_added(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "1.5h", "-5s", "1d", " 30s", "30s\n", "100000s", "1h1m1s1s", "٣s"])
def test_other_texts_are_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 2m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(90, "1m30s"), (3600, "1h"), (86_400, "24h"), (0, "0s"), (3601, "1h1s")])
def test_a_duration_is_formatted_without_zero_parts(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text
