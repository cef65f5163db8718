"""The operator's settings, parsed from a mapping of environment variables; does not read the environment itself."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from vaultsync.api.fields import parse_duration

PREFIX = "VAULTSYNC_"

SERVICE_LINKS = re.compile(r"(^|_)(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)")
"""Variables that Kubernetes sets in pods if a Service's name starts with `vaultsync`; these are not settings.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

KEY_VAULT_DNS_SUFFIXES = (".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net")
"""The DNS suffixes of Key Vault in the clouds of Azure.

https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
"""


_VAULT_DOMAIN = re.compile(r"[.]?[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_AUTHORITY = re.compile(r"https://[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::[0-9]{1,5})?/?")
_RESOURCE = re.compile(r"https://[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?:/[-A-Za-z0-9._/]*)?")
_NAMESPACE = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_INSTALLATION = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$"
_HOST = re.compile(r"([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)(?::([*]|[0-9]{1,5}))?")


class LogFormat(StrEnum):
    """The format of log lines."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The minimum level of log lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class SettingsError(Exception):
    """Some settings are invalid; the text names each variable and its rule, never its value."""


def _split(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _listen(text: object) -> object:
    if not isinstance(text, str):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("must be an address and a port, such as 0.0.0.0:8080")
    return host.strip("[]"), int(port)


def _duration(text: object) -> object:
    return parse_duration(text) if isinstance(text, str) else text


def _domain(text: str) -> str:
    if not text.startswith("."):
        raise ValueError(f"must be domains, each with a leading dot; {PREFIX}VAULT_HOSTS is for hosts")
    return text.lower()


def _host_and_port(text: str) -> str:
    matched = _HOST.fullmatch(text.lower())
    host, port = matched.groups() if matched is not None else ("", "")
    if not host or ((port or "").isdecimal() and not 0 < int(port) < 2**16):
        raise ValueError("must be hosts, each with its port if that is not 443, such as kv.example.com:8443")
    return f"{host}:{port or 443}"


Listen = Annotated[tuple[str, Annotated[int, Field(ge=0, le=65535)]], BeforeValidator(_listen)]


def _pairs(text: object) -> object:
    if not isinstance(text, str):
        return text
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return tuple((domain.strip().lower(), url.strip()) for domain, _, url in pairs)


def _vault_domain(text: str) -> str:
    if not _VAULT_DOMAIN.fullmatch(text):
        raise ValueError("must be pairs of a domain with a leading dot, or a host, and a URL: .vault.example=https://…")
    return text


def _authority(text: str) -> str:
    if not _AUTHORITY.fullmatch(text):
        raise ValueError("must have https URLs without a path, such as https://login.microsoftonline.us")
    return text.rstrip("/")


def _resource(text: str) -> str:
    if not _RESOURCE.fullmatch(text):
        raise ValueError("must have https URLs, such as https://vault.azure.net")
    return text.rstrip("/")


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Domains = Annotated[tuple[Annotated[str, AfterValidator(_domain)], ...], BeforeValidator(_split)]
VaultDomain = Annotated[str, AfterValidator(_vault_domain)]
Authorities = Annotated[
    tuple[tuple[VaultDomain, Annotated[str, AfterValidator(_authority)]], ...], BeforeValidator(_pairs)
]
Resources = Annotated[
    tuple[tuple[VaultDomain, Annotated[str, AfterValidator(_resource)]], ...], BeforeValidator(_pairs)
]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host_and_port)], ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """The settings; each field is the environment variable `VAULTSYNC_` + its name in upper case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    watch_namespaces: Names = ()
    """Namespaces to watch, separated by commas; empty: all. Fewer need fewer permissions."""

    vault_dns_suffixes: Annotated[Domains, Field(min_length=1)] = KEY_VAULT_DNS_SUFFIXES
    """Domains of vaults, separated by commas, each with a leading dot. Their hosts are called on port 443 only.

    Tokens are sent only to them and to `VAULTSYNC_VAULT_HOSTS`.
    """

    vault_hosts: Hosts = ()
    """Further hosts of vaults, separated by commas, each with its port if that is not 443: `kv.example.com:8443`.

    `kv.example.com:*` allows any port.
    """

    vault_authorities: Authorities = ()
    """Where identities log in for vaults outside of Azure's clouds, separated by commas.

    Each is a domain with a leading dot or a host, and an https URL without a path, such as
    `.vault.local.azurestack.external=https://login.microsoftonline.com`.
    """

    vault_resources: Resources = ()
    """What tokens are for, if it is not the vault's own domain, separated by commas.

    Each is a domain with a leading dot or a host, and an https URL, such as
    `kv.example.com=https://vault.azure.net`. Such a vault gets tokens for nothing else, whatever it requests.
    """

    ca_file: str = ""
    """File of further certificate authorities, as PEM, that vaults, login hosts and collectors of traces may have.

    The file is reloaded when it changes, but not for traces. The chart's `caBundle` mounts a ConfigMap or a Secret.
    """

    listen: Listen = ("0.0.0.0", 8080)  # noqa: S104  Prometheus connects from outside the pod
    """Address and port of metrics; port 0 selects a free one."""

    probes_listen: Listen = ("0.0.0.0", 8081)  # noqa: S104  the kubelet connects from outside the pod
    """Address and port of the probes, always without TLS; port 0 selects a free one."""

    tls_cert_file: str = ""
    """Certificate with its chain, as PEM, for the port of metrics; empty: no TLS.

    The file is reloaded when it changes.
    """

    tls_key_file: Annotated[str, Field(validate_default=True)] = ""
    """The certificate's private key, as PEM. The file is reloaded when it changes."""

    metrics_authorization: bool = False
    """Whether `/metrics` requires a token of a user whom the cluster's roles allow to `get` the path `/metrics`."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 32
    """Concurrent reconciles for each vault and VaultGrant; four times as many over all of them."""

    vault_calls_per_10s: Annotated[int, Field(ge=1, le=4000)] = 2000
    """Calls to a vault in 10 seconds for each VaultGrant that uses it, of all replicas together.

    After a pause, as many more at once (a token bucket). Azure allows a vault 4,000 for all clients, so with one
    grant half remains for others, but for such a burst. Lower it where several grants share a vault.
    """

    recheck_interval: Annotated[
        timedelta, BeforeValidator(_duration), Field(ge=timedelta(minutes=1), le=timedelta(days=30))
    ] = timedelta(hours=24)
    """Every secret is read again after this time: the upper bound on how long a missed change can go unnoticed."""

    expiry_notice: Annotated[
        timedelta, BeforeValidator(_duration), Field(ge=timedelta(hours=1), le=timedelta(days=365))
    ] = timedelta(days=14)
    """How long before a secret's expiry date its VaultSecret reports it, in hours: 336h are 14 days."""

    shards: Annotated[int, Field(ge=1, le=64)] = 1
    """Into how many shards the namespaces are divided; each has a leader. All replicas must have the same number."""

    lease_namespace: Annotated[str, Field(pattern=_NAMESPACE)] = "kube-system"
    """Namespace of the Leases by which leaders are elected. Only administrators may be able to write Leases there."""

    installation: Annotated[str, Field(pattern=_INSTALLATION, max_length=128)] = ""
    """Name of this installation, the same for all its replicas; the names of its Leases begin with it.

    The chart sets it to the full name and namespace of the release; empty: user and host.
    """

    metrics_per_vaultsecret: bool = True
    """Whether `/metrics` has series for each VaultSecret by name; some four for each."""

    log_level: LogLevel = LogLevel.INFO
    """Minimum level of log lines."""

    log_format: LogFormat = LogFormat.TEXT
    """Format of log lines, for humans or machines."""

    @field_validator("tls_key_file")
    @classmethod
    def _both_or_neither(cls, key_file: str, others: ValidationInfo) -> str:
        if bool(key_file) != bool(others.data.get("tls_cert_file")):
            raise ValueError(f"must be set together with {PREFIX}TLS_CERT_FILE")
        return key_file

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings from environment variables; missing and empty variables have their defaults.

        Raises:
            SettingsError: Some variables are invalid or unknown; the text names all of them.
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
        return f"  {name}: unknown setting"
    return f"  {name}: {rule.removeprefix('Value error, ')}"
