"""Whose credentials, tokens and errors reach whom: vaults that lie, look-alike hosts, identities of other tenants.

The authority, the vaults and whoever stands in their place have certificates that the operator trusts, since no attack
should fail for its certificate alone.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from pydantic import TypeAdapter, ValidationError

from kvsecrets import AsyncSecretClient, KeyVaultError, RetryPolicy
from kvsecrets._protocol import Request, Response
from kvsecrets.testing import FakeVault
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
from vaultsync.adapters.keyvault.errors import sync_error
from vaultsync.api import ObjectKey
from vaultsync.api.fields import VaultUrl
from vaultsync.api.grants import IdentityRef
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.grants import identity_of
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.settings import KEY_VAULT_DNS_SUFFIXES
from vaultsync.state.access import Identity, OwnIdentity, ServicePrincipal, WorkloadIdentity
from vaultsync.trust import client_tls

SECRET: Final = "MARKED-client-secret"
ACCOUNT: Final = ObjectKey("shop", "reader")
WORKLOAD: Final = WorkloadIdentity(TENANT, CLIENT, "shop", "reader")
PRINCIPAL: Final = ServicePrincipal(TENANT, OTHER_CLIENT, "shop", "secret", is_certificate=False)
ALL: Final[tuple[Identity, ...]] = (WORKLOAD, PRINCIPAL, OwnIdentity())
KINDS: Final = ["workload identity", "service principal", "the operator's own"]
INJECTED: Final = "</td><script>MARKED</script>\r\nReady=True\x1b[2K\u202eMARKED"


@pytest.fixture
async def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """A cloud that knows all identities of one tenant."""
    async with cloud(tmp_path) as one:
        one.source.accounts.add(ACCOUNT)
        one.source.secrets[ObjectKey(NAMESPACE, "shop"), "secret"] = SECRET
        subject = f"system:serviceaccount:{ACCOUNT.namespace}:{ACCOUNT.name}"
        one.login.registrations[CLIENT] = Registration(TENANT, SECRET, {subject})
        one.login.registrations[OTHER_CLIENT] = Registration(TENANT, SECRET)
        for name, text in (("TENANT_ID", TENANT), ("CLIENT_ID", CLIENT), ("CLIENT_SECRET", SECRET)):
            monkeypatch.setenv(f"AZURE_{name}", text)
        yield one


class Attacker:
    """A server of the attacker's, which keeps all that it is sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.url = ""
        self.answer: Callable[[Request], Response] = lambda _: Response(404, {})

    def respond(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)

    def has_received(self, text: str) -> bool:
        return any(text in f"{one.url} {dict(one.headers)} {one.body.decode()}" for one in self.requests)


@pytest.fixture
async def attacker(azure: Cloud) -> Attacker:
    attacker = Attacker()
    attacker.url = await azure.serve(attacker.respond)
    return attacker


def challenged(challenge: str) -> Callable[[Request], Response]:
    """Answer every request with a challenge."""
    return lambda _: Response(401, {"www-authenticate": challenge})


async def read(azure: Cloud, url: str, identity: Identity, authorities: Authorities | None = None) -> str:
    """Read a secret as the operator does; raises `SyncError`."""
    credentials = azure.credentials if authorities is None else azure.open_credentials(authorities)
    credential = credentials.of(identity, url)
    client = AsyncSecretClient(
        url,
        credential,
        retry=RetryPolicy(attempts=1),
        ssl_context=client_tls(str(azure.ca_file)),
        verify_challenge_resource=credential.verifies_resource,
    )
    try:
        return (await client.get_secret("db-password")).value.reveal()
    except KeyVaultError as error:
        raise sync_error(error, vault_url=url, secret="db-password", identity=identity) from None
    finally:
        await client.aclose()
        await credential.aclose()
        if authorities is not None:
            await credentials.aclose()


async def refusal(azure: Cloud, url: str, identity: Identity, authorities: Authorities | None = None) -> SyncError:
    """Return why a secret cannot be read, which shows nothing that a service or an attacker wrote."""
    with pytest.raises(SyncError) as caught:
        await read(azure, url, identity, authorities)
    assert not {"MARKED", "<", "\n", "\r", "\x1b", "\u202e"} & set(_parts(caught.value.message))
    return caught.value


def _parts(message: str) -> list[str]:
    return [*message, *(["MARKED"] if "MARKED" in message else [])]


# What a vault says


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
@pytest.mark.parametrize(
    "resource",
    [
        "https://management.azure.com",
        "https://vault.azure.net",
        "https://localhost.evil.example",
        "https://evil.example/localhost",
        "https://localhost@evil.example",
        "https://evil.example#.localhost",
        "https://lоcalhost",  # noqa: RUF001  a Cyrillic letter
        "https://host",
        "https://",
        "https://graph.microsoft.com/.default https://localhost",
    ],
)
async def test_a_vault_that_names_another_resource_does_not_get_a_token_for_it(
    azure: Cloud, attacker: Attacker, resource: str, identity: Identity
) -> None:
    """Whoever serves a vault's name requests a token for another service, to use it there as the operator or a team."""
    attacker.answer = challenged(f'Bearer authorization="{azure.login.url}/{TENANT}", resource="{resource}"')

    error = await refusal(azure, attacker.url, identity)

    assert error.reason is Reason.LOGIN_FAILED
    assert (azure.login.counts, azure.source.asked) == ({}, [])
    assert not attacker.has_received("Bearer")


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
async def test_a_vault_that_names_its_own_authority_does_not_get_the_credentials_sent_there(
    azure: Cloud, attacker: Attacker, identity: Identity
) -> None:
    """Whoever serves a vault's name has the operator log in at a server of his own, to get secret or assertion."""
    authority = Attacker()
    url = await azure.serve(authority.respond)
    attacker.answer = challenged(f'Bearer authorization="{url}/{TENANT}", resource="https://localhost"')

    await refusal(azure, attacker.url, identity)

    assert authority.requests == []
    assert azure.login.counts["token"] > 0, "it logged in, at its own authority"


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
@pytest.mark.parametrize("tenant", [OTHER_TENANT, "common", "organizations", "evil.onmicrosoft.com", "..", "adfs"])
async def test_a_vault_that_names_another_tenant_does_not_get_a_token_of_it(
    azure: Cloud, attacker: Attacker, tenant: str, identity: Identity
) -> None:
    """Whoever serves a vault's name requests a token of a tenant of his own, in which the application is his."""
    paths: list[str] = []
    login = azure.login.respond

    def logged(request: Request) -> Response:
        paths.append(request.url)
        return login(request)

    azure.login_listener.serve(logged)
    attacker.answer = challenged(f'Bearer authorization="{azure.login.url}/{tenant}", resource="https://localhost"')

    await refusal(azure, attacker.url, identity)

    assert all(f"/{TENANT}/" in path for path in paths)


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
async def test_a_vault_in_place_of_another_does_not_get_the_others_token(
    azure: Cloud, attacker: Attacker, identity: Identity
) -> None:
    """A vault of an allowed domain links and redirects to the attacker's host, to be sent the token."""
    vault = await azure.add_vault()
    answers = iter(
        [
            Response(
                401,
                {
                    "www-authenticate": f'Bearer authorization="{azure.login.url}/{TENANT}", resource="https://localhost"'
                },
            ),
            Response(307, {"location": f"{attacker.url}/secrets/db-password"}),
        ]
    )
    lying = await azure.serve(lambda _: next(answers))

    await refusal(azure, lying, identity)

    assert attacker.requests == []
    assert await read(azure, vault.url, identity) == "s3cret"


async def test_a_vault_behind_its_own_domain_does_not_choose_what_its_tokens_are_for(
    azure: Cloud, attacker: Attacker
) -> None:
    """Whoever serves a vault with a resource of its own requests a token for another service."""
    authorities = Authorities({"localhost": azure.login.url}, {"localhost": "https://vault.azure.net"})
    attacker.answer = challenged(
        f'Bearer authorization="{azure.login.url}/{OTHER_TENANT}", resource="https://management.azure.com"'
    )

    await refusal(azure, attacker.url, PRINCIPAL, authorities)

    tokens = [one.headers["authorization"] for one in attacker.requests if "authorization" in one.headers]
    check = azure.tokens.check_for(tenant_id=TENANT, resource="https://vault.azure.net")
    assert {check(token.removeprefix("Bearer ")).client_id for token in tokens} == {OTHER_CLIENT}


async def test_a_link_of_a_vault_behind_its_own_domain_does_not_send_the_token_elsewhere(
    azure: Cloud, attacker: Attacker
) -> None:
    """A vault behind a domain of its own, whose links may name other hosts, links to the attacker's."""
    authorities = Authorities({"localhost": azure.login.url}, {"localhost": "https://localhost"})
    vault = await azure.add_vault()
    for number in range(60):
        vault.set(f"secret-{number}", "s3cret")
    requested: list[str] = []

    def lying(request: Request) -> Response:
        requested.append(request.url)
        answer = vault.respond(request)
        body = answer.body.decode().replace(vault.url, attacker.url).replace(f"{vault.url}:443", attacker.url)
        return Response(answer.status, answer.headers, body.encode())

    url = await azure.serve(lying)
    credentials = azure.open_credentials(authorities)
    credential = credentials.of(PRINCIPAL, url)
    client = AsyncSecretClient(
        url,
        credential,
        ssl_context=client_tls(str(azure.ca_file)),
        verify_challenge_resource=credential.verifies_resource,
    )

    names = [one.name async for one in client.list_properties_of_secrets()]

    await client.aclose()
    await credentials.aclose()
    assert len(names) == 61
    assert attacker.requests == []
    assert all(one.startswith(f"{url}/secrets?") for one in requested)


# Hosts that look like others


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.net.evil.example",
        "https://evil-vault.azure.net",
        "https://vault.azure.net",
        "https://vault.azure.net.",
        "https://shop.vault.azure.net.",
        "https://shop.vault.azure.net@evil.example",
        "https://evil.example/.vault.azure.net",
        "https://evil.example?.vault.azure.net",
        "https://evil.example#.vault.azure.net",
        "https://evil.example\\.vault.azure.net",
        "https://shop.vault.azure。net",
        "https://shop.vаult.azure.net",  # noqa: RUF001  a Cyrillic letter
        "https://shop.vault.azure.net:8443",
        "https://shop.vault.azure.net:444",
        "https://10.0.0.1",
        "https://[::1]",
        "https://SHOP.VAULT.AZURE.NET.EVIL.EXAMPLE",
    ],
)
def test_a_host_that_looks_like_a_vault_is_not_one(url: str) -> None:
    """A tenant names a host of his own that reads like a vault, to be sent the operator's token."""
    with suppress(ValidationError):
        assert not KnownVaults(KEY_VAULT_DNS_SUFFIXES).has(TypeAdapter(VaultUrl).validate_python(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.cn.evil.example",
        "https://vault.usgovcloudapi.net",
        "https://evil-vault.usgovcloudapi.net",
        "https://shop.vault.usgovcloudapi.net@evil.example",
        "https://kv.example.com.evil.example",
        "https://evil-kv.example.com",
    ],
)
def test_a_host_that_looks_like_one_of_another_cloud_does_not_choose_where_to_log_in(url: str) -> None:
    """A tenant names a host that reads like a vault of another cloud, to have credentials sent to that cloud."""
    configured = Authorities({"kv.example.com": "https://login.example.com"})

    assert configured.of_grant(url) == "https://login.microsoftonline.com"
    assert configured.resource(url) is None


# Identities of others


async def test_a_tenant_does_not_read_a_vault_with_the_identity_of_another(azure: Cloud) -> None:
    """A tenant whose own identity is denied reads the vault that another tenant's VaultSecret has just read."""
    vault = await azure.add_vault()
    vault.deny("get", client_id=OTHER_CLIENT)
    assert await read(azure, vault.url, WORKLOAD) == "s3cret"

    error = await refusal(azure, vault.url, PRINCIPAL)

    assert error.reason is Reason.ACCESS_DENIED
    assert OTHER_CLIENT in error.message
    assert CLIENT not in error.message


async def test_the_account_of_another_namespace_does_not_prove_the_identity(azure: Cloud) -> None:
    """A tenant creates a ServiceAccount of the same name in his namespace, for the identity of another namespace."""
    vault = await azure.add_vault()
    azure.source.accounts.add(ObjectKey("evil", "reader"))
    assert await read(azure, vault.url, WORKLOAD) == "s3cret"

    error = await refusal(azure, vault.url, WorkloadIdentity(TENANT, CLIENT, "evil", "reader"))

    assert "AADSTS700213: no federated credential has the subject of the token" in error.message
    assert "ServiceAccount evil/reader" in error.message


@pytest.mark.parametrize(
    "account",
    [
        "kube-system/admin",
        "../kube-system/serviceaccounts/admin",
        "system:serviceaccount:kube-system:admin",
        "a%2fb",
        "",
    ],
)
def test_a_grant_does_not_name_the_account_of_another_namespace(account: str) -> None:
    """Whoever writes a grant names an account with a path, to have a token of another namespace requested."""
    workload = {"tenantId": TENANT, "clientId": CLIENT, "serviceAccountName": account}

    with pytest.raises(ValidationError):
        IdentityRef.model_validate({"workloadIdentity": workload})


@pytest.mark.parametrize(
    "reference",
    [
        {"name": "../../kube-system/secrets/admin", "key": "secret"},
        {"name": "kube-system/admin", "key": "secret"},
        {"name": "shop?x=", "key": "secret"},
    ],
)
def test_a_grant_does_not_name_the_secret_of_another_namespace(reference: dict[str, str]) -> None:
    """Whoever writes a grant names a Secret outside of the operator's namespace, to have it sent to an authority."""
    principal = {"tenantId": TENANT, "clientId": CLIENT, "clientSecretRef": reference}

    with pytest.raises(ValidationError):
        IdentityRef.model_validate({"servicePrincipal": principal})


def test_a_namespace_beside_the_name_of_a_secret_does_not_count() -> None:
    """Whoever writes a grant adds a namespace to the reference, although the schema has no such field."""
    reference = {"name": "shop", "key": "secret", "namespace": "kube-system"}
    principal = {"tenantId": TENANT, "clientId": CLIENT, "clientSecretRef": reference}

    identity = identity_of(IdentityRef.model_validate({"servicePrincipal": principal}), "shop")

    assert "kube-system" not in str(identity)


@pytest.mark.parametrize("tenant", ["../evil", "a/b", "a?b", "a#b", "evil.example/..", "a@b", "%2e%2e", "a b", ""])
def test_a_grant_does_not_name_a_path_in_place_of_a_tenant(tenant: str) -> None:
    """Whoever writes a grant names a tenant that is a path, to have the login requested from another URL."""
    with pytest.raises(ValidationError):
        IdentityRef.model_validate(
            {"workloadIdentity": {"tenantId": tenant, "clientId": CLIENT, "serviceAccountName": "reader"}}
        )


# What errors show


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
async def test_the_text_of_a_failed_login_is_not_shown(azure: Cloud, attacker: Attacker, identity: Identity) -> None:
    """An application is named so that the error of its login, which repeats the name, is markup or another line."""
    attacker.answer = challenged(f'Bearer authorization="{azure.login.url}/{TENANT}", resource="https://localhost"')
    text = f"AADSTS7000215: {INJECTED} AADSTS700016{INJECTED} Trace ID: {INJECTED}"
    body = {"error": INJECTED, "error_description": text, "error_codes": [7000215]}
    azure.login.fail(50, 401, json.dumps(body))

    error = await refusal(azure, attacker.url, identity)

    assert "AADSTS7000215: the client secret is wrong" in error.message
    assert "Request id" not in error.message


async def test_the_text_of_a_vault_that_denies_access_is_not_shown(azure: Cloud, attacker: Attacker) -> None:
    """Whoever serves a vault's name answers with codes, ids and texts that are markup or another line."""
    body = {
        "error": {
            "code": INJECTED,
            "message": f"Caller: appid={INJECTED};oid={INJECTED};",
            "innererror": {"code": INJECTED},
        }
    }
    challenge = challenged(f'Bearer authorization="{azure.login.url}/{TENANT}", resource="https://localhost"')

    def lying(request: Request) -> Response:
        if "authorization" not in request.headers:
            return challenge(request)
        return Response(403, {"x-ms-request-id": "</td>MARKED"}, json.dumps(body).encode())

    attacker.answer = lying

    error = await refusal(azure, attacker.url, PRINCIPAL)

    assert error.message == (
        f"No permission to read secret db-password of vault {attacker.url}; grant service principal {OTHER_CLIENT} the "
        "role Key Vault Secrets User."
    )


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
async def test_an_authority_that_redirects_does_not_pass_the_credentials_on(
    azure: Cloud, attacker: Attacker, identity: Identity
) -> None:
    """Whoever controls a page of the authority redirects logins to his own server, to get secret or assertion."""
    vault = await azure.add_vault()
    azure.login_listener.serve(lambda _: Response(307, {"location": f"{attacker.url}/{TENANT}/oauth2/v2.0/token"}))

    await refusal(azure, vault.url, identity)

    assert attacker.requests == []


@pytest.mark.parametrize("identity", ALL, ids=KINDS)
async def test_a_server_in_place_of_the_authority_does_not_get_the_credentials(
    azure: Cloud, tmp_path: Path, identity: Identity
) -> None:
    """Whoever can answer in the authority's name, without its certificate, waits for secret or assertion."""
    vault: FakeVault = await azure.add_vault()
    (tmp_path / "evil").mkdir()
    async with cloud(tmp_path / "evil") as evil:
        authorities = Authorities({"localhost": evil.login.url})

        error = await refusal(azure, vault.url, identity, authorities)

        assert "its certificate is of an unknown authority" in error.message
        assert evil.login.counts == {}
