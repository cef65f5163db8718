"""The types of a VaultSecret's fields: texts, maps, durations and times, each with rule and message; has no models."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

from vaultsync.api import GROUP, MANAGED_BY_LABEL
from vaultsync.api.checks import Check, Pattern, matching, rule_error
from vaultsync.texts import shared

_NAME_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_NAME_PART}(\.{_NAME_PART})*"
_HOST_PART = "[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_QUALIFIED_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"


SharedText = Annotated[str, AfterValidator(shared)]
"""A text that many objects have, or several fields of one: it is in memory once, except on Python 3.12."""


def _canonical_url(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return f"https://{host}" if parts.port in {None, 443} else f"https://{host}:{parts.port}"


VaultUrl = Annotated[
    str,
    Field(max_length=len("https://") + 253 + len(":65535/")),
    matching(
        Pattern(rf"https://{_HOST_PART}(\.{_HOST_PART})*(:{_PORT})?/?"),
        "must be the vault's URI, https:// and a host name without a path, for example https://shop.vault.azure.net",
    ),
    AfterValidator(_canonical_url),
    AfterValidator(shared),
]
"""Normalized, so that equal vaults have equal URLs: lower-case host, no trailing slash, no default port."""

_SECRET_NAME = Pattern("[0-9a-zA-Z-]+")
_MAX_SECRET_NAME = 127

SecretName = Annotated[
    str,
    Field(max_length=_MAX_SECRET_NAME),
    matching(_SECRET_NAME, "must be the name of a secret in the vault: letters, digits and hyphens"),
    AfterValidator(shared),
]
"""https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers"""

SecretVersion = Annotated[
    str,
    Field(max_length=32),
    matching(
        Pattern("[0-9a-f]{32}"),
        "must be a version id, 32 characters 0-9 and a-f, the last part of the secret's identifier in the vault; "
        "omit it to use the newest version",
    ),
]


def is_secret_name(name: str) -> bool:
    """Return whether a vault may have a secret of that name."""
    return len(name) <= _MAX_SECRET_NAME and _SECRET_NAME(name)


_DATA_KEY = Pattern("[-._a-zA-Z0-9]+")
_MAX_KEY = 253


def is_data_key(key: str) -> bool:
    """Return whether Kubernetes allows this key in a Secret."""
    return len(key) <= _MAX_KEY and _DATA_KEY(key) and key != "." and not key.startswith("..")


DataKey = Annotated[
    str,
    Field(max_length=_MAX_KEY),
    Check(
        f"{_DATA_KEY.cel()} && self != '.' && !self.startsWith('..')",
        is_data_key,
        "must be a valid key of a Kubernetes Secret: letters, digits, '-', '_' and '.', not '.' alone and not starting "
        "with '..'",
    ),
    AfterValidator(shared),
]


_OBJECT_NAME = Pattern(_SUBDOMAIN)
_MAX_OBJECT_NAME = 253


def is_object_name(name: str) -> bool:
    """Return whether an object of Kubernetes may have this name."""
    return len(name) <= _MAX_OBJECT_NAME and _OBJECT_NAME(name)


def _name_of(what: str) -> Check:
    return matching(
        _OBJECT_NAME,
        f"must be {what}'s name: lower-case letters, digits, '-' and '.'; each part between dots must start and end "
        "with a letter or digit",
    )


KubernetesSecretName = Annotated[str, Field(max_length=_MAX_OBJECT_NAME), _name_of("a Secret")]
ServiceAccountName = Annotated[str, Field(max_length=_MAX_OBJECT_NAME), _name_of("a ServiceAccount")]
WorkloadName = Annotated[str, Field(max_length=_MAX_OBJECT_NAME), _name_of("a workload")]

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
    "each key must be a name of at most 63 letters, digits, '-', '_' and '.' that starts and ends with a letter or "
    "digit, optionally with a DNS prefix and a slash, for example team or example.com/team",
)
_KEYS_FREE = Check(
    f"self.all(key, key != '{MANAGED_BY_LABEL}' && !key.startsWith('{_RESERVED_PREFIX}'))",
    _are_free,
    f"must not contain {MANAGED_BY_LABEL} or keys that start with {_RESERVED_PREFIX}: vaultsync sets them itself",
)

Labels = Annotated[
    Mapping[str, Annotated[str, Field(max_length=63)]],
    Field(max_length=32),
    _KEYS_QUALIFIED,
    _KEYS_FREE,
    Check(
        f"self.all(key, {_LABEL_VALUE.cel('self[key]')})",
        lambda labels: all(map(_LABEL_VALUE, labels.values())),
        "each value must be letters, digits, '-', '_' and '.' and start and end with a letter or digit; "
        "use annotations for other text",
    ),
]

LabelKeys = Annotated[
    tuple[Annotated[str, Field(max_length=_MAX_PREFIX + 1 + 63)], ...],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    _KEYS_QUALIFIED,
    _KEYS_FREE,
]
"""Keys of labels whose values are elsewhere."""

Annotations = Annotated[
    Mapping[str, Annotated[str, Field(max_length=2048)]],
    Field(max_length=32),
    _KEYS_QUALIFIED,
    _KEYS_FREE,
]
"""Bounded so that they fit into Kubernetes' 256 KiB beside the largest possible annotation of vaultsync."""

MetadataTemplates = Annotated[
    Mapping[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=16),
    _KEYS_QUALIFIED,
    _KEYS_FREE,
]
"""Templates by the label or annotation whose text they produce; bounded like annotations."""

Templates = Annotated[
    Mapping[str, Annotated[str, Field(max_length=16384)]],
    Field(max_length=32),
    Check(
        f"self.all(key, size(key) <= {_MAX_KEY} && {_DATA_KEY.cel('key')} && key != '.' && !key.startsWith('..'))",
        lambda templates: all(map(is_data_key, templates)),
        "each key must be a valid key of a Kubernetes Secret: letters, digits, '-', '_' and '.', not '.' alone and not "
        "starting with '..'",
    ),
]
"""Templates by the key whose value they produce."""


DURATION = Pattern("([0-9]{1,5}[hms]){1,3}")
"""The accepted notation, a subset of Go's. CEL's `duration()` reads it alike; five digits cannot overflow."""

_PART = re.compile(r"([0-9]+)([hms])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text such as `30s`, `2m` or `1h30m` denotes.

    Raises:
        ValueError: The text is not one to three numbers of at most five digits, each followed by h, m or s.
    """
    if not DURATION(text):
        raise ValueError("must be a duration such as 30s, 2m or 1h30m")
    return sum((int(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta())


def format_duration(duration: timedelta) -> str:
    """Return the shortest text for a duration, in whole seconds: `1m30s` for 90 seconds."""
    seconds = int(duration.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _to_utc(timestamp: datetime) -> datetime:
    try:
        return timestamp.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        # A format of date-time admits 0001-01-01T00:00:00+14:00, which is before the first year in UTC.
        raise rule_error("must be a time between the years 1 and 9999 in UTC") from None


def format_timestamp(timestamp: datetime) -> str:
    """Return a time as Kubernetes writes it."""
    # `model_copy` does not validate: a timestamp may arrive here with microseconds or another zone.
    return timestamp.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _read_duration(value: object) -> object:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ValueError:
        raise rule_error("must be a duration such as 30s, 2m or 1h30m") from None


def _between(shortest: timedelta, longest: timedelta) -> Check:
    least, most = format_duration(shortest), format_duration(longest)
    return Check(
        f"{DURATION.cel()} && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
        lambda duration: shortest <= duration <= longest,
        f"must be a duration between {least} and {most}, such as 30s, 2m or 1h30m",
    )


_DurationText = (
    Strict(),
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "maxLength": 18}),
)
"""A duration is a string in manifests."""

RefreshInterval = Annotated[timedelta, *_DurationText, _between(timedelta(seconds=10), timedelta(hours=24))]
DeleteAfter = Annotated[timedelta, *_DurationText, _between(timedelta(minutes=1), timedelta(days=30))]
RestartInterval = Annotated[timedelta, *_DurationText, _between(timedelta(seconds=10), timedelta(hours=24))]

Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(format_timestamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time as Kubernetes writes it: UTC, with a resolution of a second."""


class WorkloadKind(StrEnum):
    """A kind of workload that supports rolling restarts."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
