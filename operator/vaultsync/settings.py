"""The operator's settings, from a mapping of environment variables; all problems at once. Looks nowhere itself."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from vaultsync.api.durations import parse_duration

PREFIX = "VAULTSYNC_"

SERVICE_LINKS = re.compile(r"(^|_)(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)")
"""What Kubernetes puts into the environment of pods beside a Service whose name begins with ours; none of our settings.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

KEY_VAULT_DNS_SUFFIXES = (".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net")
"""Where Key Vaults live, by cloud.

https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
"""


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class SettingsError(Exception):
    """Some settings are wrong; the text names each variable and its rule, and shows no variable's content."""


def _split(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _listen(text: object) -> object:
    if not isinstance(text, str):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("give an address and a port, as in 0.0.0.0:8080")
    return host.strip("[]"), int(port)


def _duration(text: object) -> object:
    return parse_duration(text) if isinstance(text, str) else text


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """What an administrator decides; each field is the environment variable `VAULTSYNC_` + its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    watch_namespaces: Names = ()
    """Namespaces to serve, separated by commas; empty: all. Fewer need fewer permissions."""

    vault_dns_suffixes: Annotated[Names, Field(min_length=1)] = KEY_VAULT_DNS_SUFFIXES
    """Where vaults may be, separated by commas: domains with a leading dot, or hosts. Tokens go nowhere else."""

    listen: Annotated[tuple[str, Annotated[int, Field(ge=0, le=65535)]], BeforeValidator(_listen)] = ("0.0.0.0", 8080)  # noqa: S104  Prometheus and the kubelet's probes come from outside the pod
    """Address and port of metrics and probes; port 0 takes a free one."""

    tls_cert_file: str = ""
    """Certificate with its chain, as PEM, with which that port is served; empty: no TLS. The file may be renewed."""

    tls_key_file: Annotated[str, Field(validate_default=True)] = ""
    """The certificate's key, as PEM."""

    metrics_authorization: bool = False
    """Whether `/metrics` is only for those who may get the path `/metrics` by the cluster's roles."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 32
    """How many VaultSecrets of one vault are reconciled at once; four times as many over all vaults."""

    vault_calls_per_10s: Annotated[int, Field(ge=1, le=4000)] = 2000
    """Calls that one vault may get in 10 seconds. Azure allows 4,000 to everybody together, so that half is left."""

    recheck_interval: Annotated[
        timedelta, BeforeValidator(_duration), Field(ge=timedelta(minutes=1), le=timedelta(days=30))
    ] = timedelta(hours=24)
    """Every secret is read again after this time at the latest, so that no mistake in telling changes lives longer."""

    expiry_notice: Annotated[
        timedelta, BeforeValidator(_duration), Field(ge=timedelta(hours=1), le=timedelta(days=365))
    ] = timedelta(days=14)
    """How long before a secret's date its VaultSecret says that it expires soon, in hours: 336h are 14 days."""

    metrics_per_vaultsecret: bool = True
    """Whether `/metrics` tells of each VaultSecret by its name; some four lines for each."""

    log_level: LogLevel = LogLevel.INFO
    """How much is logged."""

    log_format: LogFormat = LogFormat.TEXT
    """Lines for people or for machines."""

    @field_validator("tls_key_file")
    @classmethod
    def _both_or_neither(cls, key_file: str, others: ValidationInfo) -> str:
        if bool(key_file) != bool(others.data.get("tls_cert_file")):
            raise ValueError(f"give it together with {PREFIX}TLS_CERT_FILE")
        return key_file

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from variables; those that are absent or empty keep their defaults.

        Raises:
            SettingsError: Some are wrong or unknown; the text names them all.
        """
        given = {name.removeprefix(PREFIX): text for name, text in environ.items() if name.startswith(PREFIX) and text}
        try:
            return cls.model_validate(
                {name.lower(): text for name, text in given.items() if SERVICE_LINKS.search(name) is None}
            )
        except ValidationError as error:
            lines = sorted({_problem(each["loc"], each["msg"]) for each in error.errors()})
            raise SettingsError("These settings are wrong:\n" + "\n".join(lines)) from None


def _problem(location: tuple[int | str, ...], rule: str) -> str:
    name = f"{PREFIX}{str(location[0]).upper()}"
    if rule.startswith("Extra inputs"):
        return f"  {name}: there is no such setting"
    return f"  {name}: {rule.removeprefix('Value error, ')}"
