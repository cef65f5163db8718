"""The JSON of the answers: fields, order, absences."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._fake.answers import Answers, dump, read_marker, write_marker
from kvsecrets._fake.refusals import VaultRefused
from kvsecrets._fake.rows import SecretVersion, StoredSecret
from tests.unit.kvsecrets.fake.builders import profile

PLAIN = SecretVersion(id="1", value="v", created=1, updated=2)
OF_CERTIFICATE = SecretVersion(
    id="1", value="pfx", content_type="application/x-pkcs12", managed=True, created=1, updated=2
)


def stored(version: SecretVersion) -> StoredSecret:
    return StoredSecret("db", {version.id: version}, deleted_on=10, purge_on=20)


def test_a_certificates_secret_names_its_key_when_it_is_read() -> None:
    answer = Answers(profile(), "7.4").secret(stored(OF_CERTIFICATE), OF_CERTIFICATE)

    assert list(answer) == ["value", "contentType", "id", "managed", "attributes", "kid"]
    assert answer["kid"] == "https://fake.vault.azure.net/keys/db/1"


def test_a_list_shows_that_a_secret_is_managed_but_not_its_key() -> None:
    item = Answers(profile(), "7.4").properties(stored(OF_CERTIFICATE), OF_CERTIFICATE, with_version=False)

    assert list(item) == ["contentType", "id", "managed", "attributes"]
    assert item["id"] == "https://fake.vault.azure.net/secrets/db"


def test_a_deleted_secret_says_when_and_for_how_long_it_can_be_recovered() -> None:
    answer = Answers(profile(), "7.4").deleted(stored(PLAIN))

    assert list(answer) == ["recoveryId", "deletedDate", "scheduledPurgeDate", "id", "attributes"]
    assert answer["recoveryId"] == "https://fake.vault.azure.net/deletedsecrets/db"


def test_without_soft_delete_a_deleted_secret_cannot_be_recovered() -> None:
    answer = Answers(profile(soft_delete=False), "7.4").deleted(stored(PLAIN))

    assert list(answer) == ["id", "attributes"]


@pytest.mark.parametrize(("api_version", "told"), [("7.0", False), ("7.1", True)])
def test_recoverable_days_are_told_since_7_1(api_version: str, *, told: bool) -> None:
    attributes = Answers(profile(), api_version).properties(stored(PLAIN), PLAIN)["attributes"]

    assert isinstance(attributes, dict)
    assert ("recoverableDays" in attributes) is told


def test_the_last_page_has_no_next_link_and_says_so() -> None:
    assert dump(Answers(profile(), "7.4").page("/secrets", [], None, None)) == b'{"value":[],"nextLink":null}'


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/"))
def test_a_marker_comes_back_from_its_token(marker: str) -> None:
    assert read_marker(write_marker(marker)) == marker


@given(st.text())
def test_any_text_is_a_token_or_refused(token: str) -> None:
    with suppress(VaultRefused):
        assert isinstance(read_marker(token), str)
