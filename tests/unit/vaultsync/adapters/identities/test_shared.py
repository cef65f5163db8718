"""Every kind of identity logs in with azure-identity's own credential, at the authority of the vault."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from kvsecrets._protocol import Request, Response
from tests.emulator.listener import Listener
from tests.emulator.login import Registration
from tests.unit.vaultsync.adapters.identities.served import (
    CLIENT,
    NAMESPACE,
    OTHER_CLIENT,
    OTHER_TENANT,
    TENANT,
    Cloud,
    cloud,
)
from vaultsync.adapters.identities import Authorities
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.state.access import Identity, ManagedIdentity, OwnIdentity, ServicePrincipal, WorkloadIdentity

VAULT = "https://localhost:8443"
SCOPE = "https://localhost/.default"
ACCOUNT = ObjectKey("shop", "reader")
SECRET = ObjectKey(NAMESPACE, "shop-reader")
WORKLOAD = WorkloadIdentity(TENANT, CLIENT, ACCOUNT.namespace, ACCOUNT.name)
PRINCIPAL = ServicePrincipal(TENANT, CLIENT, SECRET.name, "secret", is_certificate=False)
CERTIFICATE = ServicePrincipal(TENANT, CLIENT, SECRET.name, "certificate", is_certificate=True)


@pytest.fixture
async def azure(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(tmp_path) as one:
        one.source.accounts.add(ACCOUNT)
        one.source.secrets[SECRET, "secret"] = "s3cret"
        one.login.registrations[CLIENT] = Registration(
            TENANT, "s3cret", {f"system:serviceaccount:{ACCOUNT.namespace}:{ACCOUNT.name}"}
        )
        yield one


def client_of(token: str) -> str:
    client: str = jwt.decode(token, options={"verify_signature": False})["appid"]
    return client


async def log_in(azure: Cloud, identity: Identity, *, tenant: str = TENANT) -> str:
    credential = azure.credentials.of(identity, VAULT)
    return (await credential.get_token_info(SCOPE, options={"tenant_id": tenant, "enable_cae": True})).token


def certificate(name: str) -> tuple[x509.Certificate, str]:
    """A certificate, and its PEM with its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    made = builder.sign(key, hashes.SHA256())
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, *formats) + made.public_bytes(serialization.Encoding.PEM)
    return made, pem.decode()


async def test_a_workload_identity_logs_in_with_a_token_of_the_account(azure: Cloud) -> None:
    assert client_of(await log_in(azure, WORKLOAD)) == CLIENT
    assert azure.source.asked == ["token shop/reader"]
    assert azure.logins == {"issued": 1}


async def test_an_account_that_gives_no_token_is_a_failed_login(azure: Cloud) -> None:
    azure.source.accounts.clear()

    with pytest.raises(SyncError) as caught:
        await log_in(azure, WORKLOAD)

    assert (caught.value.reason, caught.value.message) == (
        Reason.LOGIN_FAILED,
        "ServiceAccount shop/reader does not exist.",
    )
    assert azure.login.counts == {}
    assert azure.logins == {"refused": 1}


async def test_vaults_with_the_same_identity_share_a_login(azure: Cloud) -> None:
    first, second = await asyncio.gather(log_in(azure, WORKLOAD), log_in(azure, WORKLOAD))

    assert first == second
    assert azure.login.counts["token"] == 1


async def test_the_account_of_another_namespace_is_another_identity(azure: Cloud) -> None:
    azure.source.accounts.add(ObjectKey("other", "reader"))
    await log_in(azure, WORKLOAD)

    with pytest.raises(Exception, match="AADSTS700213"):
        await log_in(azure, WorkloadIdentity(TENANT, CLIENT, "other", "reader"))


async def test_a_service_principal_logs_in_with_the_secret_of_the_operators_namespace(azure: Cloud) -> None:
    assert client_of(await log_in(azure, PRINCIPAL)) == CLIENT
    assert azure.source.asked == ["secret vaultsync/shop-reader secret"]


async def test_a_changed_secret_is_used_at_the_next_login(azure: Cloud) -> None:
    before = await log_in(azure, PRINCIPAL)
    azure.login.registrations[CLIENT].secret = azure.source.secrets[SECRET, "secret"] = "another"

    after = await log_in(azure, PRINCIPAL)

    assert before != after
    assert azure.login.counts["token"] == 2


async def test_a_secret_that_is_gone_ends_the_use_of_its_tokens(azure: Cloud) -> None:
    await log_in(azure, PRINCIPAL)
    azure.source.secrets.clear()

    with pytest.raises(SyncError, match="does not exist"):
        await log_in(azure, PRINCIPAL)


async def test_a_service_principal_logs_in_with_a_certificate(azure: Cloud) -> None:
    azure.login.registrations[CLIENT].certificate, azure.source.secrets[SECRET, "certificate"] = certificate("reader")

    assert client_of(await log_in(azure, CERTIFICATE)) == CLIENT

    _, azure.source.secrets[SECRET, "certificate"] = certificate("another")
    with pytest.raises(Exception, match="AADSTS700027"):
        await log_in(azure, CERTIFICATE)


@pytest.mark.parametrize("content", ["MARKED", "-----BEGIN CERTIFICATE-----\nMARKED\n-----END CERTIFICATE-----"])
async def test_a_secret_without_a_certificate_says_what_it_must_have(azure: Cloud, content: str) -> None:
    azure.source.secrets[SECRET, "certificate"] = content

    with pytest.raises(SyncError) as caught:
        await log_in(azure, CERTIFICATE)

    assert caught.value.reason is Reason.LOGIN_FAILED
    assert "vaultsync/shop-reader has no certificate with its RSA private key" in caught.value.message
    assert (caught.value.__cause__, "MARKED" in caught.value.message) == (None, False)


async def test_an_operator_that_does_not_know_its_namespace_reads_no_secret(azure: Cloud) -> None:
    credentials = azure.open_credentials(Authorities(), namespace="")

    with pytest.raises(SyncError, match="POD_NAMESPACE"):
        await credentials.of(PRINCIPAL, VAULT).get_token_info(SCOPE)

    assert azure.source.asked == []
    await credentials.aclose()


async def test_the_operators_own_identity_logs_in_with_a_client_secret(
    azure: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s3cret")

    assert client_of(await log_in(azure, OwnIdentity())) == CLIENT


async def test_the_operators_own_identity_logs_in_with_a_federated_token(
    azure: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await azure.source.request_token(ACCOUNT, audience="api://AzureADTokenExchange")
    (tmp_path / "token").write_text(token.reveal())
    monkeypatch.delenv("AZURE_AUTHORITY_HOST", raising=False)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))

    assert client_of(await log_in(azure, OwnIdentity())) == CLIENT


async def test_a_managed_identity_is_requested_from_the_node_by_its_client_id(
    azure: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, list[str]]] = []

    def node(request: Request) -> Response:
        asked.append(parse_qs(urlsplit(request.url).query))
        token = azure.tokens.issue(tenant_id=TENANT, client_id=CLIENT, audience="https://localhost")
        body = {"access_token": token, "expires_on": "4000000000", "resource": "https://localhost"}
        return Response(200, {"content-type": "application/json"}, json.dumps(body).encode())

    endpoint = Listener(tls=None)
    endpoint.serve(node)
    await endpoint.open()
    azure.listeners.append(endpoint)
    monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint.url)
    monkeypatch.setenv("IDENTITY_HEADER", "header")

    assert client_of(await log_in(azure, ManagedIdentity(CLIENT))) == CLIENT
    assert (asked[0]["client_id"], asked[0]["resource"]) == ([CLIENT], ["https://localhost"])
    assert azure.login.counts == {}


async def test_identities_of_two_tenants_log_in_each_in_its_own(azure: Cloud) -> None:
    azure.source.secrets[ObjectKey(NAMESPACE, "other"), "secret"] = "0ther"
    azure.login.registrations[OTHER_CLIENT] = Registration(OTHER_TENANT, "0ther")
    other = ServicePrincipal(OTHER_TENANT, OTHER_CLIENT, "other", "secret", is_certificate=False)

    assert client_of(await log_in(azure, PRINCIPAL)) == CLIENT
    assert client_of(await log_in(azure, other, tenant=OTHER_TENANT)) == OTHER_CLIENT


async def test_a_vault_of_another_tenant_is_refused_before_any_login(azure: Cloud) -> None:
    with pytest.raises(SyncError) as caught:
        await log_in(azure, PRINCIPAL, tenant=OTHER_TENANT)

    assert caught.value.reason is Reason.LOGIN_FAILED
    assert (TENANT in caught.value.message, OTHER_TENANT in caught.value.message) == (True, True)
    assert (azure.source.asked, azure.login.counts) == ([], {})


async def test_a_tenant_that_is_named_by_its_domain_is_used_as_it_is(azure: Cloud) -> None:
    azure.login.registrations[CLIENT].tenant_id = "example.onmicrosoft.com"
    named = ServicePrincipal("example.onmicrosoft.com", CLIENT, SECRET.name, "secret", is_certificate=False)

    assert client_of(await log_in(azure, named, tenant=OTHER_TENANT)) == CLIENT


async def test_a_configured_resource_is_what_tokens_are_for(azure: Cloud) -> None:
    resource = "https://vault.example.onmicrosoft.com/4d1f0000-0000-4000-8000-000000000001"
    credentials = azure.open_credentials(Authorities({"localhost": azure.login.url}, {"localhost": resource}))
    credential = credentials.of(PRINCIPAL, VAULT)

    token = await credential.get_token_info("https://management.azure.com/.default", options={"tenant_id": "adfs"})

    assert jwt.decode(token.token, options={"verify_signature": False})["aud"] == resource
    assert not credential.verifies_resource
    assert azure.credentials.of(PRINCIPAL, VAULT).verifies_resource
    await credentials.aclose()


async def test_a_credential_is_closed_with_the_last_vault_that_uses_it(azure: Cloud) -> None:
    one, other = (azure.credentials.of(PRINCIPAL, vault) for vault in (VAULT, "https://localhost:9443"))
    before = (await one.get_token_info(SCOPE)).token

    await one.aclose()
    await one.aclose()
    assert (await other.get_token_info(SCOPE)).token == before

    await other.aclose()
    assert (await azure.credentials.of(PRINCIPAL, VAULT).get_token_info(SCOPE)).token != before
