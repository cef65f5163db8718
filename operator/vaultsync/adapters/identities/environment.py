"""Checks the variables of the operator's own identity and of proxies, and the files that they name; logs in nowhere.

azure-identity finds most of these errors at the first login only, or passes over them to another identity.
https://learn.microsoft.com/python/api/overview/azure/identity-readme#environment-variables
"""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

TENANT_ID: Final = "AZURE_TENANT_ID"
CLIENT_ID: Final = "AZURE_CLIENT_ID"
CLIENT_SECRET: Final = "AZURE_CLIENT_SECRET"  # noqa: S105  the name of a variable
CERTIFICATE: Final = "AZURE_CLIENT_CERTIFICATE_PATH"
PASSWORD: Final = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105  the same
TOKEN_FILE: Final = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  the same
AUTHORITY: Final = "AZURE_AUTHORITY_HOST"
NODE_IDENTITY: Final = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
WAYS: Final = "AZURE_TOKEN_CREDENTIALS"
TRUSTED: Final = "SSL_CERT_FILE"

_CHECKED: Final = (
    TENANT_ID, CLIENT_ID, CLIENT_SECRET, CERTIFICATE, TOKEN_FILE, AUTHORITY, NODE_IDENTITY, WAYS, TRUSTED,
)  # fmt: skip

_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_OTHER_PROXIES: Final = ("ALL_PROXY", "all_proxy")
"""They count for vaults if there is none of `HTTPS_PROXY`. Of `NO_PROXY`, what is not understood is passed over."""

_KNOWN_WAYS: Final = ("prod", "EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential")

_TENANT: Final = re.compile("[0-9A-Za-z.-]+")
_HOST: Final = re.compile("[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?")
_TEXT: Final = re.compile("[!-~]+")


class WrongEnvironment(Exception):
    """Some variables cannot be used; the text names each of them and its rule, never its value."""


def check_environment(environ: Mapping[str, str]) -> None:
    """Check the variables of the operator's own identity, and those of proxies.

    Raises:
        WrongEnvironment: Some cannot be used.
    """
    problems = [f"{name} {rule}" for name, rule in _problems(environ)]
    if problems:
        raise WrongEnvironment("; ".join(problems))


def _problems(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    given = {name: environ[name] for name in _CHECKED if name in environ}
    # azure-identity takes an empty variable for one that is set.
    yield from ((name, "is empty: set it, or remove it") for name, text in given.items() if not text)
    for name, text in given.items():
        rule = _rule_of_text(name, text) or _rule_of_file(name, text)
        if text and rule:
            yield name, rule
    for name in _PROXIES if any(map(environ.get, _PROXIES[:2])) else (*_PROXIES, *_OTHER_PROXIES):
        if not _is_proxy(environ.get(name, "")):
            rule = "must be a URL such as http://user:password@proxy.example.com:3128"
            yield name, f"{rule}, with user and password percent-encoded"
    for proof in (CLIENT_SECRET, CERTIFICATE):
        if proof in given:
            missing = (name for name in (TENANT_ID, CLIENT_ID) if name not in given)
            yield from ((name, f"is not set, and {proof} needs it") for name in missing)
    if _is_file(given.get(CERTIFICATE)) and not _has_certificate(given[CERTIFICATE], environ.get(PASSWORD)):
        rule = "must name a file with a certificate and its RSA private key, in PEM or PKCS#12"
        yield CERTIFICATE, f"{rule}, which {PASSWORD} decrypts if it is encrypted"


def _rule_of_text(name: str, text: str) -> str | None:
    """Return the rule that a text breaks; None if it breaks none."""
    match name:
        case "AZURE_TENANT_ID" if not _TENANT.fullmatch(text):
            return "must be the tenant's id or domain: letters, digits, dots and hyphens"
        case "AZURE_CLIENT_ID" | "AZURE_CLIENT_SECRET" if not _TEXT.fullmatch(text):
            return "must have no blanks, line breaks or other characters than those of ASCII"
        case "AZURE_AUTHORITY_HOST" if not _is_url(text if "://" in text else f"https://{text}", {"https"}):
            return "must be a host, or an https URL, such as https://login.microsoftonline.com"
        case "AZURE_POD_IDENTITY_AUTHORITY_HOST" if not _is_url(text, {"http", "https"}):
            return "must be the URL of the node's identity service, such as http://169.254.169.254"
        case "AZURE_TOKEN_CREDENTIALS" if text.strip().lower() not in map(str.lower, _KNOWN_WAYS):
            return f"must be one of {', '.join(_KNOWN_WAYS)}"
        case _:
            return None


def _rule_of_file(name: str, text: str) -> str | None:
    if name not in {CERTIFICATE, TOKEN_FILE, TRUSTED}:
        return None
    if not _is_file(text):
        return "names a file that does not exist or cannot be read"
    return "names a file without a certificate in PEM" if name == TRUSTED and not _has_authorities(text) else None


def _is_url(text: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and _HOST.fullmatch(parts.hostname or "") is not None and parts.port != 0
    except ValueError:
        return False


def _is_proxy(text: str) -> bool:
    """Return whether the clients of vaults and of login hosts take a text for a proxy, or for none."""
    if not text:
        return True
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    # A password with a slash, and the like, has ended what is the host.
    return is_url and not re.search(r"\s", text) and "@" not in f"{parts.path}{parts.query}{parts.fragment}"


def _is_file(path: str | None) -> bool:
    try:
        return path is not None and Path(path).is_file() and os.access(path, os.R_OK)
    except ValueError:  # a path with a NUL
        return False


def _has_authorities(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        return False
    return True


def _has_certificate(path: str, password: str | None) -> bool:
    """Return whether azure-identity can use a file, by its own parser; it opens no connection yet."""
    # Most identities have no such file.
    from vaultsync.adapters.identities.client_library import CertificateCredential  # noqa: PLC0415

    try:
        CertificateCredential("tenant", "client", certificate_path=path, password=password or None)
    except (OSError, ValueError, TypeError):
        return False
    return True
