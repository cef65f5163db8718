"""The texts, maps and times of a VaultSecret: each with its rule, and a sentence for those who break it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

from vaultsync.api import GROUP, MANAGED_BY_LABEL
from vaultsync.api.checks import Check, Pattern, matching, refusal
from vaultsync.api.durations import DURATION, format_duration, parse_duration

_NAME_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_NAME_PART}(\.{_NAME_PART})*"
_HOST_PART = "[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_QUALIFIED_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"


def _canonical_url(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return f"https://{host}" if parts.port in {None, 443} else f"https://{host}:{parts.port}"


VaultUrl = Annotated[
    str,
    Field(max_length=len("https://") + 253 + len(":65535/")),
    matching(
        Pattern(rf"https://{_HOST_PART}(\.{_HOST_PART})*(:{_PORT})?/?"),
        "must be the vault's URI, https:// and a host name and nothing after it, "
        "for example https://shop.vault.azure.net",
    ),
    AfterValidator(_canonical_url),
]
"""One text for each vault: host in lower case, no final slash (the Azure portal shows one), no default port."""

SecretName = Annotated[
    str,
    Field(max_length=127),
    matching(Pattern("[0-9a-zA-Z-]+"), "must be a secret's name in the vault: letters, digits and hyphens"),
]
"""https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers"""

SecretVersion = Annotated[
    str,
    Field(max_length=32),
    matching(
        Pattern("[0-9a-f]{32}"),
        "must be a version id, 32 digits and letters a to f, as it ends the secret's identifier in the vault, "
        "or be left out to follow the newest version",
    ),
]

_DATA_KEY = Pattern("[-._a-zA-Z0-9]+")
_MAX_KEY = 253


def is_data_key(key: str) -> bool:
    """Tell whether a Kubernetes Secret may have this key."""
    return len(key) <= _MAX_KEY and _DATA_KEY(key) and key != "." and not key.startswith("..")


DataKey = Annotated[
    str,
    Field(max_length=_MAX_KEY),
    Check(
        f"{_DATA_KEY.cel()} && self != '.' && !self.startsWith('..')",
        is_data_key,
        "must be a key that a Kubernetes Secret allows: letters, digits, '-', '_' and '.', "
        "neither '.' alone nor two dots at the start",
    ),
]


def _name_of(what: str) -> Check:
    return matching(
        Pattern(_SUBDOMAIN),
        f"must be {what}'s name: lower-case letters, digits, '-' and '.', each part between dots beginning and ending "
        "with a letter or digit",
    )


ObjectName = Annotated[str, Field(max_length=253), _name_of("a Secret")]
WorkloadName = Annotated[str, Field(max_length=253), _name_of("a workload")]

_QUALIFIED = Pattern(f"({_SUBDOMAIN}/)?{_QUALIFIED_NAME}")
_LABEL_VALUE = Pattern(f"({_QUALIFIED_NAME})?")
_MAX_PREFIX = 253
_RESERVED_PREFIX = f"{GROUP}/"


def _is_qualified(key: str) -> bool:
    return _QUALIFIED(key) and key.find("/") <= _MAX_PREFIX


def _are_free(keys: Iterable[str]) -> bool:
    return not any(key == MANAGED_BY_LABEL or key.startswith(_RESERVED_PREFIX) for key in keys)


_KEYS_QUALIFIED = Check(
    f"self.all(key, {_QUALIFIED.cel('key')} && key.indexOf('/') <= {_MAX_PREFIX})",
    lambda entries: all(map(_is_qualified, entries)),
    "each key must be a name of at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or "
    "digit, and may have a DNS name and a slash before it, for example team or example.com/team",
)
_KEYS_FREE = Check(
    f"self.all(key, key != '{MANAGED_BY_LABEL}' && !key.startsWith('{_RESERVED_PREFIX}'))",
    _are_free,
    f"leave out {MANAGED_BY_LABEL} and keys that begin with {_RESERVED_PREFIX}: vaultsync sets them itself",
)

Labels = Annotated[
    Mapping[str, Annotated[str, Field(max_length=63)]],
    Field(max_length=32),
    _KEYS_QUALIFIED,
    _KEYS_FREE,
    Check(
        f"self.all(key, {_LABEL_VALUE.cel('self[key]')})",
        lambda labels: all(map(_LABEL_VALUE, labels.values())),
        "each value must be letters, digits, '-', '_' and '.', beginning and ending with a letter or digit "
        "(other text belongs into annotations)",
    ),
]

Annotations = Annotated[
    Mapping[str, Annotated[str, Field(max_length=2048)]],
    Field(max_length=32),
    _KEYS_QUALIFIED,
    _KEYS_FREE,
]
"""Bounded so that, with our own annotation for the most and longest entries, they fit into Kubernetes' 256 KiB."""

Templates = Annotated[
    Mapping[str, Annotated[str, Field(max_length=16384)]],
    Field(max_length=32),
    Check(
        f"self.all(key, size(key) <= {_MAX_KEY} && {_DATA_KEY.cel('key')} && key != '.' && !key.startsWith('..'))",
        lambda templates: all(map(is_data_key, templates)),
        "each template's key must be one that a Kubernetes Secret allows: letters, digits, '-', '_' and '.', "
        "neither '.' alone nor two dots at the start",
    ),
]
"""Templates by the key that they fill."""


def _write_moment(moment: datetime) -> str:
    # `model_copy` checks nothing, so that a moment may come here as it was given.
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _read_duration(value: object) -> object:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ValueError:
        raise refusal("must be a duration, written like 30s, 2m or 1h30m") from None


def _between(shortest: timedelta, longest: timedelta) -> Check:
    least, most = format_duration(shortest), format_duration(longest)
    return Check(
        f"{DURATION.cel()} && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
        lambda duration: shortest <= duration <= longest,
        f"must be a duration between {least} and {most}, written like 30s, 2m or 1h30m",
    )


_AsText = (
    Strict(),
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "maxLength": 18}),
)
"""How the API server keeps a duration."""

RefreshInterval = Annotated[timedelta, *_AsText, _between(timedelta(seconds=10), timedelta(hours=24))]
DeleteAfter = Annotated[timedelta, *_AsText, _between(timedelta(minutes=1), timedelta(days=30))]
RestartInterval = Annotated[timedelta, *_AsText, _between(timedelta(seconds=10), timedelta(hours=24))]

Moment = Annotated[
    AwareDatetime,
    AfterValidator(lambda moment: moment.astimezone(UTC).replace(microsecond=0)),
    PlainSerializer(_write_moment, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment as Kubernetes writes them: UTC, to the second."""
