"""Every connection trusts an authority that Python 3.13 refuses by default, and follows it; over real sockets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from kvsecrets import AsyncSecretClient, ConnectionFailed, ConnectionProblem, RetryPolicy
from tests.authorities import Authority
from tests.emulator.login import Registration
from tests.integration.reading import LONG
from tests.unit.vaultsync.adapters.identities.served import CLIENT, NAMESPACE, TENANT, Cloud, cloud
from vaultsync.adapters.identities import Authorities
from vaultsync.adapters.kube.connection import Connection, configuration_from
from vaultsync.adapters.kube.requests import Request
from vaultsync.api import ObjectKey
from vaultsync.errors import SyncError
from vaultsync.state.access import ServicePrincipal

READ: Final = Request("GET", "/api/v1/secrets", about="The Secrets")
WATCH: Final = replace(READ, query={"watch": "true"})
IDENTITY: Final = ServicePrincipal(TENANT, CLIENT, "reader", "key", is_certificate=False)


@pytest.fixture(params=[(False, True), (True, False), (False, False)], ids=["no ids", "not critical", "neither"])
def authority(request: pytest.FixtureRequest) -> Authority:
    has_key_ids, critical = request.param
    return Authority.make(has_key_ids=has_key_ids, critical=critical)


@asynccontextmanager
async def connected(authority: Authority, trusted: Authority, folder: Path) -> AsyncIterator[Connection]:
    """Serve an API with a certificate of an authority, and connect by a kubeconfig with another."""

    async def respond(_: web.Request) -> web.Response:
        return web.json_response({"kind": "SecretList"})

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server_tls("127.0.0.1")).start()
    kubeconfig = write_kubeconfig(folder, f"https://127.0.0.1:{runner.addresses[0][1]}", trusted)
    configuration = await configuration_from({"KUBECONFIG": str(kubeconfig)})
    connection = Connection(configuration, user_agent="vaultsync/1", connections=4)
    try:
        yield connection
    finally:
        await connection.close()
        await runner.cleanup()


def write_kubeconfig(folder: Path, server: str, trusted: Authority) -> Path:
    (folder / "ca.crt").write_text(trusted.pem)
    cluster = {"server": server, "certificate-authority": str(folder / "ca.crt")}
    config = {
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "me"}}],
        "clusters": [{"name": "there", "cluster": cluster}],
        "users": [{"name": "me", "user": {"token": "our-token"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


async def test_the_api_server_is_trusted_by_our_requests_our_watches_and_the_session_of_kopf(
    authority: Authority, tmp_path: Path
) -> None:
    async with connected(authority, authority, tmp_path) as connection:
        answer = await connection.send(READ)
        watched = [document async for document in connection.documents(WATCH)]
        async with await connection.open_session() as session:
            response = await session.get(f"{connection.server}/apis")

    assert (answer, watched, response.status) == ({"kind": "SecretList"}, [{"kind": "SecretList"}], 200)


async def test_an_api_server_of_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    other = Authority.make(has_key_ids=True, critical=True)
    async with connected(other, authority, tmp_path) as connection:
        with pytest.raises(SyncError, match="certificate"):
            await connection.send(READ)


async def read(azure: Cloud, url: str) -> str:
    """Log in and read a secret as the operator does, over new connections."""
    credentials = azure.open_credentials(Authorities({"localhost": azure.login.url}))
    client = AsyncSecretClient(
        url, credentials.of(IDENTITY, url), retry=RetryPolicy(attempts=1), timeout=LONG, ssl_context=azure.trust
    )
    try:
        return (await client.get_secret("db-password")).value.reveal()
    finally:
        await client.aclose()
        await credentials.aclose()


@asynccontextmanager
async def serving(folder: Path, authority: Authority) -> AsyncIterator[tuple[Cloud, str]]:
    async with cloud(folder, authority=authority) as azure:
        azure.source.secrets[ObjectKey(NAMESPACE, "reader"), "key"] = "s3cret"
        azure.login.registrations[CLIENT] = Registration(TENANT, "s3cret", set())
        yield azure, (await azure.add_vault()).url


def trust(azure: Cloud, authority: Authority) -> None:
    """Replace the authority in the file, which is noticed."""
    azure.ca_file.write_text(authority.pem)
    azure.trust.files.reload()


async def test_vault_and_login_host_are_trusted(authority: Authority, tmp_path: Path) -> None:
    async with serving(tmp_path, authority) as (azure, url):
        assert await read(azure, url) == "s3cret"


async def test_another_authority_is_trusted_from_its_appearance_in_the_file_on(tmp_path: Path) -> None:
    old, new = (Authority.make(has_key_ids=False, critical=False, name=name) for name in ("old", "new"))
    async with serving(tmp_path, new) as (azure, url):
        trust(azure, old)
        with pytest.raises(ConnectionFailed) as refused:
            await read(azure, url)

        trust(azure, new)
        content = await read(azure, url)

        trust(azure, old)
        with pytest.raises(ConnectionFailed) as refused_again:
            await read(azure, url)

    assert [one.value.problem for one in (refused, refused_again)] == [ConnectionProblem.UNTRUSTED] * 2
    assert content == "s3cret"
