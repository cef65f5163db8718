"""What a vault holds, as values: secrets, their properties, ids and deletions. Knows no JSON and no HTTP.

All of them can be constructed by hand, for tests of code that uses this library. All times are aware datetimes in UTC.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NoReturn, Self

HIDDEN = "**********"
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character of UTF-16. No encoding can write it alone, so it is refused before it is lost on its way."""
_ID = re.compile(
    r"(https://[^/?#\\@\s]+)/(?:deleted)?secrets/([0-9a-zA-Z-]{1,127})(?:/([0-9a-zA-Z]{1,64}))?/?", re.ASCII
)


class SecretValue:
    """A secret text that does not show itself: printing, formatting and logging it give asterisks.

    Only `reveal()` gives the text. Two values are equal when their texts are. It cannot be pickled, copied into JSON or
    hashed, so that it does not end up in a cache, a queue or a digest by accident.
    """

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]  # a mutable-looking default of object would make it usable as a key

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a secret value is a str, not {type(text).__name__}")
        if SURROGATE.search(text):
            raise ValueError("a secret value is Unicode text: it must not hold lone surrogates")
        self._text = text

    def reveal(self) -> str:
        """Return the secret text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        return self._text == other._text

    def __repr__(self) -> str:
        return f"SecretValue({HIDDEN!r})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse to be pickled or copied deeply."""
        raise TypeError("a SecretValue is not pickled; reveal() it where you really mean to write it down")


@dataclass(frozen=True, slots=True)
class SecretId:
    """Where a secret is: its vault, its name and, for one version, that version's id.

    Its text is the id URL that Key Vault uses: `str(SecretId("https://shop.vault.azure.net", "db"))` is
    `https://shop.vault.azure.net/secrets/db`. https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates
    """

    vault_url: str
    name: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id URL; that of a deleted secret (`recovery_id`, with `deletedsecrets`) names the secret that it was.

        Raises:
            ValueError: The text is not `https://{vault}/secrets/{name}` with an optional `/{version}`.
        """
        if not isinstance(text, str):
            raise TypeError(f"a secret's id is a str, not {type(text).__name__}")
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError("a secret's id is https://{vault}/secrets/{name}, with an optional /{version}")
        return cls(*match.groups())

    def __str__(self) -> str:
        """Return the id URL."""
        url = f"{self.vault_url}/secrets/{self.name}"
        return f"{url}/{self.version}" if self.version else url


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """How Key Vault answered: status and headers, without the body. Header names are in lower case."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def date(self) -> datetime | None:
        """The vault's own clock when it answered, to the second; None if the answer does not say."""
        return http_date(self.headers.get("date"))

    @property
    def request_id(self) -> str | None:
        """The service's id of the call, which the vendor's support asks for."""
        return self.headers.get("x-ms-request-id")

    @property
    def client_request_id(self) -> str | None:
        """The id that this library gave the call, as the vault repeats it."""
        return self.headers.get("x-ms-client-request-id")


def http_date(text: str | None) -> datetime | None:
    """Read a date as HTTP headers have it; None when there is none that can be read."""
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
    """Everything about a secret but its value.

    In lists of secrets (not of versions) the properties are those of the newest version, and `version` is None.
    `expires_on` and `not_before` inform: Key Vault gives out a secret outside of them all the same.
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
    """Whether the secret belongs to a certificate, which keeps it up to date."""
    key_id: str | None = None
    """For a certificate's secret, the id URL of the key with the same version."""
    recoverable_days: int | None = None
    recovery_level: str | None = None
    """What becomes of a deleted secret, such as `Recoverable+Purgeable`; an open set of words."""

    @property
    def name(self) -> str:
        """The secret's name, in the letters that it was created with."""
        return self.id.name

    @property
    def version(self) -> str | None:
        """The version's id, or None in a list of secrets."""
        return self.id.version

    @property
    def vault_url(self) -> str:
        """The vault, as in `https://shop.vault.azure.net`."""
        return self.id.vault_url


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVaultSecret:
    """A secret with its value. Two are equal when value and properties are, however they were answered."""

    properties: SecretProperties
    value: SecretValue
    response: ResponseInfo = field(default=NO_RESPONSE, compare=False)

    @property
    def id(self) -> SecretId:
        """Where the secret is, with its version."""
        return self.properties.id

    @property
    def name(self) -> str:
        """The secret's name."""
        return self.properties.id.name


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedSecret:
    """A secret that was deleted and can still be recovered, unless its vault has no soft-delete."""

    properties: SecretProperties
    deleted_on: datetime | None = None
    scheduled_purge_on: datetime | None = None
    recovery_id: str | None = None
    """Its URL among the deleted secrets; None from a vault without soft-delete, where deletion is final."""
    response: ResponseInfo = field(default=NO_RESPONSE, compare=False)

    @property
    def id(self) -> SecretId:
        """Where the secret was."""
        return self.properties.id

    @property
    def name(self) -> str:
        """The secret's name."""
        return self.properties.id.name
