"""Variables of the operator's own identity: what is wrong is found before the first login, and no value is repeated."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from vaultsync.adapters.identities import WrongEnvironment, check_environment

MARK = "s3cr3t"

IDS = {
    "AZURE_TENANT_ID": "00000000-0000-0000-0000-000000000001",
    "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000002",
}


def pem(key: CertificateIssuerPrivateKeyTypes, *, password: str = "") -> bytes:
    """A certificate with its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return text + certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes a file, and returns its path."""

    def write(content: bytes) -> str:
        path = tmp_path / MARK
        path.write_bytes(content)
        return str(path)

    return write


def refused(environ: dict[str, str]) -> str:
    """What is said about variables that cannot be used."""
    with pytest.raises(WrongEnvironment) as caught:
        check_environment(environ)
    text = str(caught.value)
    assert MARK not in text
    assert all(value not in text for value in IDS.values())
    return text


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PATH": "", "AZURE_HTTP_USER_AGENT": "", "AZURE_CLIENT_CERTIFICATE_PASSWORD": ""},
        {"AZURE_CLIENT_ID": IDS["AZURE_CLIENT_ID"]},
        IDS | {"AZURE_CLIENT_SECRET": "~8Q.x_~"},
        IDS | {"AZURE_TENANT_ID": "contoso.onmicrosoft.com", "AZURE_AUTHORITY_HOST": "login.microsoftonline.us"},
        {"AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/", "AZURE_TOKEN_CREDENTIALS": "prod"},
        {"AZURE_AUTHORITY_HOST": "https://localhost:8443", "AZURE_TOKEN_CREDENTIALS": "managedidentitycredential"},
        {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://169.254.169.254"},
    ],
)
def test_what_azure_identity_can_use_is_accepted(environ: dict[str, str]) -> None:
    check_environment(environ)


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "AZURE_TOKEN_CREDENTIALS",
        "SSL_CERT_FILE",
    ],
)
def test_an_empty_variable_is_named(name: str) -> None:
    assert refused(IDS | {name: ""}) == f"{name} is empty: set it, or remove it"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AZURE_TENANT_ID", f"{MARK} tenant"),
        ("AZURE_TENANT_ID", f"{MARK}/.."),
        ("AZURE_TENANT_ID", f"{MARK}\n"),
        ("AZURE_CLIENT_ID", f"{MARK}\n"),
        ("AZURE_CLIENT_SECRET", f"{MARK}\n"),
        ("AZURE_CLIENT_SECRET", f" {MARK}"),
        ("AZURE_AUTHORITY_HOST", f"http://{MARK}.example.com"),
        ("AZURE_AUTHORITY_HOST", f"https://{MARK} example"),
        ("AZURE_AUTHORITY_HOST", f"https://[{MARK}"),
        ("AZURE_AUTHORITY_HOST", f"https://{MARK}:0"),
        ("AZURE_AUTHORITY_HOST", f"https://{MARK}:port"),
        ("AZURE_AUTHORITY_HOST", "https://"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", MARK),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"file:///{MARK}"),
        ("AZURE_TOKEN_CREDENTIALS", MARK),
        ("AZURE_TOKEN_CREDENTIALS", "dev"),
        ("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential"),
    ],
)
def test_a_text_that_cannot_be_right_is_named(name: str, text: str) -> None:
    assert refused(IDS | {name: text}).startswith(f"{name} must ")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"])
@pytest.mark.parametrize(
    "text",
    [
        f"keeper:{MARK}@proxy.example.com:3128",
        "proxy.example.com:3128",
        f"http://keeper:{MARK}#1@proxy.example.com:3128",
        f"http://keeper:1#{MARK}@proxy.example.com:3128",
        f"http://keeper:1/{MARK}@proxy.example.com:3128",
        f"http://keeper:{MARK}@proxy.example.com:port",
        f"http://keeper:{MARK}@proxy.example.com:99999",
        f"http://keeper:{MARK}@",
        f"http://keeper:{MARK}@[::1:3128",
        f" http://keeper:{MARK}@proxy.example.com:3128",
        f"socks5://keeper:{MARK}@proxy.example.com:1080",
    ],
)
def test_a_proxy_that_no_client_can_use_is_named(name: str, text: str) -> None:
    assert refused({name: text}).startswith(f"{name} must be a URL such as ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://proxy.example.com",
        "http://proxy.example.com:3128/",
        "HTTP://squid_proxy:3128",
        "http://[fd00::1]:3128",
        f"http://keeper:{MARK}%23%2F%40@proxy.example.com:3128",
        f"http://keeper:{MARK}@@proxy.example.com:3128",
        "https://proxy.example.com:3129",
    ],
)
def test_a_proxy_that_clients_can_use_is_accepted(text: str) -> None:
    check_environment({"HTTPS_PROXY": text, "NO_PROXY": "fd00::/8,[::1],.svc,é"})


def test_a_proxy_for_everything_that_does_not_count_is_not_checked() -> None:
    check_environment({"https_proxy": "http://proxy.example.com:3128", "ALL_PROXY": "socks5://proxy.example.com:1080"})


@pytest.mark.parametrize("name", ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("path", ["/nowhere/s3cr3t", "/", "s3cr3t\0"])
def test_a_file_that_cannot_be_read_is_named(name: str, path: str) -> None:
    assert refused(IDS | {name: path}) == f"{name} names a file that does not exist or cannot be read"


@pytest.mark.parametrize("proof", ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"])
@pytest.mark.parametrize("missing", sorted(IDS))
def test_what_a_secret_or_a_certificate_needs_is_named(
    proof: str, missing: str, key: rsa.RSAPrivateKey, write: Callable[[bytes], str]
) -> None:
    given = {name: text for name, text in IDS.items() if name != missing}

    assert refused(given | {proof: write(pem(key))}) == f"{missing} is not set, and {proof} needs it"


def test_all_problems_are_said_at_once() -> None:
    text = refused({"AZURE_TENANT_ID": "", "AZURE_CLIENT_SECRET": MARK, "AZURE_TOKEN_CREDENTIALS": MARK})

    assert [part.split(" ")[0] for part in text.split("; ")] == [
        "AZURE_TENANT_ID",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_CLIENT_ID",
    ]


def test_a_certificate_with_its_key_is_accepted(key: rsa.RSAPrivateKey, write: Callable[[bytes], str]) -> None:
    check_environment(IDS | {"AZURE_CLIENT_CERTIFICATE_PATH": write(pem(key))})
    encrypted = IDS | {"AZURE_CLIENT_CERTIFICATE_PATH": write(pem(key, password=MARK))}
    check_environment(encrypted | {"AZURE_CLIENT_CERTIFICATE_PASSWORD": MARK})


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_certificate_that_cannot_be_decrypted_is_named(
    password: str, key: rsa.RSAPrivateKey, write: Callable[[bytes], str]
) -> None:
    given = {
        "AZURE_CLIENT_CERTIFICATE_PATH": write(pem(key, password=MARK)),
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": password,
    }

    assert refused(IDS | given).startswith("AZURE_CLIENT_CERTIFICATE_PATH must name a file with a certificate")


def test_a_file_without_a_certificate_and_its_key_is_named(
    key: rsa.RSAPrivateKey, write: Callable[[bytes], str]
) -> None:
    its_key, begin, certificate = pem(key).partition(b"-----BEGIN CERTIFICATE")
    elliptic = pem(ec.generate_private_key(ec.SECP256R1()))
    for content in (b"", MARK.encode(), its_key, begin + certificate, elliptic):
        text = refused(IDS | {"AZURE_CLIENT_CERTIFICATE_PATH": write(content)})
        assert text.startswith("AZURE_CLIENT_CERTIFICATE_PATH must name a file with a certificate")


def test_a_file_of_trusted_authorities_has_certificates(write: Callable[[bytes], str]) -> None:
    check_environment({"SSL_CERT_FILE": write(trustme.CA().cert_pem.bytes())})

    assert refused({"SSL_CERT_FILE": write(b"")}) == "SSL_CERT_FILE names a file without a certificate in PEM"
