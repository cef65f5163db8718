"""The models of the library: secrets, their properties, ids and deletions. Knows no JSON and no HTTP.

All of them can be constructed directly, for tests of code that uses this library. All datetimes are aware and in UTC.
https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NoReturn, Self

HIDDEN = "**********"
SURROGATE = re.compile("[\ud800-\udfff]")
"""An unpaired UTF-16 surrogate, which no encoding can represent."""
_ID = re.compile(
    r"(https://[^/?#\\@\s]+)/(?:deleted)?secrets/([0-9a-zA-Z-]{1,127})(?:/([0-9a-zA-Z]{1,64}))?/?", re.ASCII
)


class SecretValue:
    """A secret text that is hidden when it is printed or logged.

    Only `reveal()` returns the text. `str()` and `repr()` return asterisks, so that `print`, `%s`, `!s` and `!r` show
    a value as hidden. What would use the asterisks in place of the text raises `TypeError`: formatting, as in
    `f"{value}"`, and a comparison with a `str` or `bytes`, which could never be true. Two values are equal if their
    texts are. A value cannot be pickled, copied, serialized to JSON or hashed, so it does not end up in a cache, a
    queue or a digest by accident.

    Args:
        text: The secret text.

    Raises:
        TypeError: `text` is not a `str`.
        ValueError: `text` contains an unpaired surrogate.
    """

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]  # object's default would make a value usable as a dictionary key

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a secret value must be a str, not {type(text).__name__}")
        if SURROGATE.search(text):
            raise ValueError("a secret value must be Unicode text: it contains an unpaired surrogate")
        self._text = text

    def reveal(self) -> str:
        """Return the secret text."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str | bytes | bytearray):
            raise TypeError("a SecretValue is never equal to text: compare value.reveal(), or with SecretValue(text)")
        if not isinstance(other, SecretValue):
            return NotImplemented
        return self._text == other._text

    def __repr__(self) -> str:
        return f"SecretValue({HIDDEN!r})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> NoReturn:
        """Reject formatting, whose result would have asterisks in place of the text."""
        raise TypeError("a SecretValue cannot be formatted: use value.reveal() for its text, or !s for asterisks")

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Reject pickling and copying."""
        raise TypeError("a SecretValue cannot be pickled or copied; use reveal() to write its text on purpose")


@dataclass(frozen=True, slots=True)
class SecretId:
    """The id of a secret: its vault, its name and, for one version, the id of that version.

    `str()` returns the id URL that Key Vault uses: `str(SecretId("https://shop.vault.azure.net", "db"))` is
    `https://shop.vault.azure.net/secrets/db`.
    https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates
    """

    vault_url: str
    name: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an id URL.

        The URL of a deleted secret (`recovery_id`, with `deletedsecrets`) returns the id of the secret before its
        deletion.

        Raises:
            ValueError: The text is not `https://{vault}/secrets/{name}` with an optional `/{version}`.
            TypeError: It is not a `str`.
        """
        if not isinstance(text, str):
            raise TypeError(f"a secret's id must be a str, not {type(text).__name__}")
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError("a secret's id must be https://{vault}/secrets/{name}, with an optional /{version}")
        return cls(*match.groups())

    def __str__(self) -> str:
        """Return the id URL."""
        url = f"{self.vault_url}/secrets/{self.name}"
        return f"{url}/{self.version}" if self.version else url


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """Status and headers of a response, without its body. Header names are in lower case."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def date(self) -> datetime | None:
        """The vault's clock when it responded, to the second; None without a valid `Date` header."""
        return http_date(self.headers.get("date"))

    @property
    def request_id(self) -> str | None:
        """The service's id of the request (`x-ms-request-id`), which the vendor's support needs."""
        return self.headers.get("x-ms-request-id")

    @property
    def client_request_id(self) -> str | None:
        """The library's id of the call (`x-ms-client-request-id`), as the vault returns it."""
        return self.headers.get("x-ms-client-request-id")


def http_date(text: str | None) -> datetime | None:
    """Parse the date of an HTTP header into a datetime in UTC; None if it is absent or invalid."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


NO_RESPONSE = ResponseInfo()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretProperties:
    """The properties of a secret, without its value.

    In lists of secrets (not of versions) they are those of the newest version, and `version` is None.
    `not_before` and `expires_on` are informational: Key Vault returns a secret outside of them too.
    https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes
    """

    id: SecretId
    enabled: bool = True
    created_on: datetime | None = None
    updated_on: datetime | None = None
    not_before: datetime | None = None
    expires_on: datetime | None = None
    content_type: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    managed: bool = False
    """Whether the secret belongs to a certificate, which writes its versions."""
    key_id: str | None = None
    """For the secret of a certificate, the id URL of the key with the same version; only reading it returns it."""
    previous_version: str | None = None
    """For the secret of a certificate, the version before this one; from API version 2025-07-01, if it has one."""
    recoverable_days: int | None = None
    """For how many days a deleted secret can be recovered."""
    recovery_level: str | None = None
    """The effect of a deletion, such as `Recoverable+Purgeable`; the service may add levels."""
    response: ResponseInfo = field(default=NO_RESPONSE, compare=False, repr=False)
    """The response that returned them; comparisons ignore it."""

    @property
    def name(self) -> str:
        """The secret's name, with the case it was created with."""
        return self.id.name

    @property
    def version(self) -> str | None:
        """The version's id; None in a list of secrets."""
        return self.id.version

    @property
    def vault_url(self) -> str:
        """The vault, such as `https://shop.vault.azure.net`."""
        return self.id.vault_url


class SecretBackup(bytes):
    """An encrypted backup of a secret: the bytes themselves, and the `response` that returned them.

    Args:
        content: What `restore_secret_backup` takes, and the vendor's tools write to files.
        response: The status and headers of the response.
    """

    response: ResponseInfo

    def __new__(cls, content: bytes = b"", response: ResponseInfo = NO_RESPONSE) -> Self:
        """Add a response to bytes."""
        backup = super().__new__(cls, content)
        backup.response = response
        return backup


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVaultSecret:
    """A secret with its value. `response` is ignored by comparisons."""

    properties: SecretProperties
    value: SecretValue
    response: ResponseInfo = field(default=NO_RESPONSE, compare=False)

    @property
    def id(self) -> SecretId:
        """The secret's id, with its version."""
        return self.properties.id

    @property
    def name(self) -> str:
        """The secret's name."""
        return self.properties.id.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedSecret:
    """A deleted secret, which can be recovered unless its vault has no soft-delete.

    https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
    """

    properties: SecretProperties
    deleted_on: datetime | None = None
    scheduled_purge_on: datetime | None = None
    recovery_id: str | None = None
    """Its URL in the collection of deleted secrets; None from a vault without soft-delete, where deletion is final."""
    response: ResponseInfo = field(default=NO_RESPONSE, compare=False)

    @property
    def id(self) -> SecretId:
        """The id that the secret had before its deletion."""
        return self.properties.id

    @property
    def name(self) -> str:
        """The secret's name."""
        return self.properties.id.name
