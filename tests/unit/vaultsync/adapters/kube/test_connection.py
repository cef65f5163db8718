"""Requests to the Kubernetes API: their headers, and the errors of every failure of the transport."""

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import unused_port
from kubernetes.aio.client import Configuration

from tests.clocks import frozen
from tests.unit.vaultsync.adapters.kube.scripted import (
    Answer,
    breaking_off,
    connected,
    document,
    hanging_up,
    lines,
    silence,
    text,
)
from vaultsync.adapters.kube.connection import Connection, NoCluster, configuration_from
from vaultsync.adapters.kube.errors import Forbidden
from vaultsync.adapters.kube.requests import APPLY, METADATA, Request
from vaultsync.errors import Reason, SyncError

READ = Request("GET", "/api/v1/namespaces/shop/secrets/db", about="Secret shop/db", accept=METADATA)
WATCH = Request("GET", "/api/v1/namespaces/shop/secrets", about="Secrets", query={"watch": "true"})
WRITE = Request(
    "PATCH",
    "/api/v1/namespaces/shop/secrets/db",
    about="Secret shop/db",
    query={"fieldManager": "vaultsync", "force": "true"},
    content_type=APPLY,
    body={"data": {"password": "bWFya2Vk"}},
)


async def failure_of(connection: Connection, request: Request = READ) -> SyncError:
    with pytest.raises(SyncError) as caught:
        await connection.send(request)
    return caught.value


async def test_a_response_is_its_document() -> None:
    async with connected(document(201, {"kind": "Secret"})) as (connection, _):
        answer = await connection.send(READ)

    assert answer == {"kind": "Secret"}


async def test_a_request_is_sent_with_our_user_agent_and_token() -> None:
    async with connected(document(200, {})) as (connection, script):
        await connection.send(WRITE)

    [sent] = script.sent
    assert (sent.method, sent.path, sent.body) == (WRITE.method, WRITE.path, WRITE.body)
    assert sent.query == {"fieldManager": "vaultsync", "force": "true"}
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml"
    assert sent.headers["Authorization"] == "Bearer our-token"
    assert sent.headers["User-Agent"] == "vaultsync/1"


async def test_the_accept_header_is_that_of_the_request() -> None:
    async with connected(document(200, {})) as (connection, script):
        await connection.send(READ)

    assert script.sent[0].headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(breaking_off, "closed the connection", id="an answer that breaks off"),
        pytest.param(text(200, "<html>"), "did not return JSON", id="a page instead of a document"),
        pytest.param(text(200, "[]"), "did not return JSON", id="a list instead of a document"),
        pytest.param(text(503, "<html>"), "responded with HTTP status 503", id="a page of a proxy"),
        pytest.param(document(500, ["nonsense"]), "responded with HTTP status 500", id="a refusal that is no document"),
    ],
)
async def test_an_invalid_response_means_that_the_cluster_is_unavailable(answer: Answer, expected: str) -> None:
    async with connected(answer) as (connection, _):
        error = await failure_of(connection)

    assert error.reason is Reason.CLUSTER_UNAVAILABLE
    assert error.message.startswith("Secret shop/db: the Kubernetes API")
    assert expected in error.message


async def test_a_request_without_a_response_times_out() -> None:
    async with connected(silence, patience=0.05) as (connection, _):
        error = await failure_of(connection)

    assert (error.reason, error.message) == (
        Reason.CLUSTER_UNAVAILABLE,
        "Secret shop/db: the Kubernetes API did not respond in time.",
    )


async def test_a_server_that_is_not_reachable_is_named() -> None:
    configuration = Configuration(host=f"http://127.0.0.1:{unused_port()}")
    connection = Connection(configuration, user_agent="vaultsync/1", connections=1)

    error = await failure_of(connection)
    await connection.close()

    assert error.reason is Reason.CLUSTER_UNAVAILABLE
    assert error.message == "Secret shop/db: the Kubernetes API is not reachable: the connection was refused."


@pytest.mark.parametrize("proxy", ["keeper:s3cr3t@proxy.example:3128", "http://keeper:s3cr3t#@proxy.example:3128"])
async def test_a_proxy_that_is_no_url_is_said_and_not_shown(proxy: str) -> None:
    configuration = Configuration(host="https://cluster.example", proxy=proxy)
    connection = Connection(configuration, user_agent="vaultsync/1", connections=1)

    error = await failure_of(connection)
    await connection.close()

    text = "Secret shop/db: the Kubernetes API cannot be called: server or proxy-url of the kubeconfig is no URL."
    assert (error.message, error.__context__) == (text, None)


async def test_a_patch_on_a_connection_that_the_server_closes_is_sent_again() -> None:
    async with connected(hanging_up, document(200, {"kind": "Secret"})) as (connection, script):
        await connection.send(WRITE)

    assert [sent.body for sent in script.sent] == [WRITE.body, WRITE.body]


async def test_a_server_that_closes_every_connection_is_unavailable() -> None:
    async with connected(hanging_up, hanging_up) as (connection, _):
        error = await failure_of(connection, WRITE)

    assert error.reason is Reason.CLUSTER_UNAVAILABLE
    assert "closed the connection" in error.message


async def test_a_post_is_not_sent_twice() -> None:
    async with connected(hanging_up) as (connection, script):
        await failure_of(connection, replace(WRITE, method="POST"))

    assert len(script.sent) == 1


async def test_the_retry_after_of_an_overloaded_server_is_kept() -> None:
    answer = text(429, "Too many requests, please try again later.", {"Retry-After": "7"})
    async with connected(answer) as (connection, _):
        error = await failure_of(connection)

    assert (error.reason, error.retry_after) == (Reason.CLUSTER_UNAVAILABLE, 7.0)


@pytest.mark.parametrize("header", ["soon", "-1", "1.5", "", "\u0667"])
async def test_a_retry_after_that_is_not_a_number_of_seconds_is_ignored(header: str) -> None:
    async with connected(text(503, "", {"Retry-After": header})) as (connection, _):
        error = await failure_of(connection)

    assert error.retry_after is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(breaking_off, id="a broken connection"),
        pytest.param(silence, id="no answer"),
        pytest.param(text(200, '"bWFya2Vk"'), id="an answer with the value"),
        pytest.param(document(500, {"message": "expected map, got bWFya2Vk"}), id="a refusal that repeats the value"),
        pytest.param(document(400, {"message": "invalid: bWFya2Vk"}), id="another refusal that repeats it"),
    ],
)
async def test_an_error_contains_neither_values_nor_our_token(answer: Answer) -> None:
    async with connected(answer, patience=0.05 if answer is silence else 60) as (connection, _):
        error = await failure_of(connection, WRITE)

    expected = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__)
    assert "bWFya2Vk" not in expected
    assert "our-token" not in expected


@pytest.mark.parametrize("answer", [text(403, "<html>MARKED"), document(403, {"message": "MARKED"})])
async def test_a_read_that_is_forbidden_lacks_a_permission_whatever_the_answer_says(answer: Answer) -> None:
    async with connected(answer) as (connection, _):
        error = await failure_of(connection, READ)

    assert (type(error), error.reason) == (Forbidden, Reason.CLUSTER_UNAVAILABLE)
    assert "HTTP 403" in error.message
    assert "MARKED" not in error.message


async def test_a_write_that_is_forbidden_may_be_rejected_for_what_it_writes() -> None:
    async with connected(document(403, {"message": "MARKED"})) as (connection, _):
        error = await failure_of(connection, WRITE)

    assert (type(error), error.reason) == (SyncError, Reason.TARGET_INVALID)


async def test_a_stream_is_read_document_by_document() -> None:
    async with connected(lines('{"a":1}', '{"b":2}')) as (connection, _):
        documents = [document async for document in connection.documents(WATCH)]

    assert documents == [{"a": 1}, {"b": 2}]


async def test_a_stream_without_events_times_out() -> None:
    async with connected(silence, patience=0.05) as (connection, _):
        with pytest.raises(SyncError, match="did not respond in time"):
            await anext(connection.documents(WATCH))


async def test_watches_do_not_use_the_connections_of_requests() -> None:
    async with connected(*[silence] * 8, document(200, {"kind": "Secret"})) as (connection, script):
        watches = [asyncio.ensure_future(anext(connection.documents(READ))) for _ in range(8)]
        await script.arrivals(8)

        answer = await connection.send(READ)

        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
    assert answer == {"kind": "Secret"}


async def test_a_session_for_another_client_has_the_current_token() -> None:
    async with (
        connected(document(200, {}), document(200, {})) as (connection, script),
        await connection.open_session() as session,
    ):
        await session.get(f"{connection.server}/apis")
        connection._sessions.configuration.api_key["BearerToken"] = "Bearer renewed"
        await session.get(f"{connection.server}/apis")

    assert [sent.headers["Authorization"] for sent in script.sent] == ["Bearer our-token", "Bearer renewed"]


class Observed:
    """Keeps the paths of requests that were sent, and of those that were answered."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answers: list[str] = []
        self.denials: list[str] = []

    async def sending(self, request: aiohttp.ClientRequest) -> None:
        self.sent.append(request.url.path)

    def answered(self, request: aiohttp.ClientRequest) -> None:
        self.answers.append(request.url.path)

    def denied(self, request: aiohttp.ClientRequest) -> bool:
        self.denials.append(request.url.path)
        return request.url.path == "/known"


async def test_requests_of_another_client_are_observed_and_failures_are_logged_without_their_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = Observed()
    async with (
        connected(document(200, {}), text(503, "MARKED"), hanging_up) as (connection, _),
        await connection.open_session(observer) as session,
    ):
        await session.get(f"{connection.server}/good")
        await session.get(f"{connection.server}/bad")
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"{connection.server}/away")

    assert (observer.sent, observer.answers) == (["/good", "/bad", "/away"], ["/good"])
    assert [(vars(one)["path"], vars(one).get("status") or vars(one)["error"]) for one in caplog.records] == [
        ("/bad", 503),
        ("/away", "the connection broke"),
    ]
    assert "MARKED" not in caplog.text


async def test_a_missing_permission_is_logged_unless_the_observer_does_it(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observed()
    async with (
        connected(*[document(403, {})] * 3) as (connection, _),
        await connection.open_session(observer) as session,
        await connection.open_session() as unobserved,
    ):
        await session.get(f"{connection.server}/known")
        await session.get(f"{connection.server}/other")
        await unobserved.get(f"{connection.server}/known")

    assert (observer.answers, observer.denials) == ([], ["/known", "/other"])
    assert [(vars(one)["path"], vars(one)["status"]) for one in caplog.records] == [("/other", 403), ("/known", 403)]


# what has to be replaced


async def test_rejected_credentials_are_loaded_again_at_once_and_not_more_often_than_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = 0
    async with connected(*[document(401, {})] * 3, document(200, {})) as (connection, script):

        async def reload() -> Configuration:
            nonlocal loads
            loads += 1
            return Configuration(host=connection.server, api_key={"BearerToken": f"Bearer token-{loads}"})

        connection._reload = reload
        for _ in range(2):
            await failure_of(connection)
        monkeypatch.setattr(connection, "_next_reload", 0.0)
        await failure_of(connection)
        await connection.send(READ)

    assert [sent.headers["Authorization"] for sent in script.sent] == [
        "Bearer our-token",
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert loads == 2


@pytest.mark.parametrize("error", [NoCluster("gone"), OSError("gone"), ValueError("gone"), TypeError("half a file")])
async def test_credentials_that_cannot_be_loaded_leave_the_present_ones(error: Exception) -> None:
    async def fail() -> Configuration:
        raise error

    async with connected(document(401, {}), document(200, {})) as (connection, script):
        connection._reload = fail
        await failure_of(connection)
        await connection.send(READ)

    assert script.sent[1].headers["Authorization"] == "Bearer our-token"


async def test_a_program_that_does_not_end_delays_a_request_but_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vaultsync.adapters.kube.connection.REQUEST_TIMEOUT", 0.05)

    async def hang() -> Configuration:
        await asyncio.Event().wait()
        raise AssertionError

    async with connected(document(401, {}), document(401, {}), document(200, {})) as (connection, _):
        connection._reload = hang
        async with asyncio.timeout(60):
            await asyncio.gather(failure_of(connection), failure_of(connection))
            await connection.send(READ)


async def test_no_request_is_anonymous_after_the_program_of_a_kubeconfig_has_failed(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.replace("token: my-token", "exec: {apiVersion: v1, command: /nowhere}"))

    async with connected(document(401, {}), document(200, {})) as (connection, script):
        connection._reload = partial(configuration_from, {"KUBECONFIG": str(kubeconfig)})
        await failure_of(connection)
        await connection.send(READ)

    assert script.sent[1].headers["Authorization"] == "Bearer our-token"


async def test_while_the_token_cannot_be_read_the_last_one_is_used() -> None:
    def read(_: Configuration) -> None:
        raise PermissionError("token")

    async with connected(document(200, {}), document(200, {})) as (connection, script):
        connection._sessions.configuration.refresh_api_key_hook = read
        await connection.send(READ)
        async with await connection.open_session() as session:
            await session.get(f"{connection.server}/apis")

    assert [sent.headers["Authorization"] for sent in script.sent] == ["Bearer our-token"] * 2


class Secured:
    """A server whose authority is replaced, and the file in which clients find it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def configuration(self) -> Configuration:
        host = f"https://127.0.0.1:{self.port}"
        return Configuration(host=host, api_key={"BearerToken": "Bearer our-token"}, ssl_ca_cert=str(self.file))

    async def start(self) -> None:
        """Start it, or start it again with another authority."""
        await self.stop()
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(str(self.file))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", document(200, {"kind": "Secret"}))
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


@asynccontextmanager
async def secured(file: Path) -> AsyncIterator[tuple[Secured, Connection]]:
    server = Secured(file)
    await server.start()
    connection = Connection(
        await server.configuration(), user_agent="vaultsync/1", connections=4, reload=server.configuration
    )
    try:
        yield server, connection
    finally:
        await connection.close()
        await server.stop()


async def test_an_authority_that_was_replaced_is_loaded_again(tmp_path: Path) -> None:
    async with secured(tmp_path / "ca.crt") as (server, connection):
        await connection.send(READ)
        await server.start()

        error = await failure_of(connection)
        await connection.send(READ)

    assert "its certificate is of an unknown authority; the kubeconfig" in error.message


async def test_a_session_whose_authority_was_replaced_says_so_and_another_one_works(tmp_path: Path) -> None:
    async with secured(tmp_path / "ca.crt") as (server, connection):
        async with await connection.open_session() as session:
            await server.start()
            with pytest.raises(SyncError, match="authority was replaced"):
                await session.get(f"{connection.server}/apis")

        async with await connection.open_session() as session:
            await session.get(f"{connection.server}/apis")


async def test_a_session_does_not_trust_another_server_only_because_it_insists(tmp_path: Path) -> None:
    async with secured(tmp_path / "ca.crt") as (server, connection), await connection.open_session() as session:
        trusted = server.file.read_bytes()
        await server.start()
        server.file.write_bytes(trusted)

        for _ in range(2):
            with pytest.raises((aiohttp.ClientError, SyncError)):
                await session.get(f"{connection.server}/apis")
            await failure_of(connection)


async def test_a_timeout_while_the_authority_cannot_be_read_leaves_the_present_connections(tmp_path: Path) -> None:
    async with connected(silence, document(200, {}), patience=0.05) as (connection, _):
        connection._sessions.configuration.ssl_ca_cert = str(tmp_path / "missing")
        error = await failure_of(connection)
        connection._request_timeout = aiohttp.ClientTimeout(total=60)
        await connection.send(READ)

    assert "did not respond in time" in error.message


async def test_after_a_timeout_new_connections_are_used_and_those_in_use_are_kept_to_their_end() -> None:
    peers, answer = list[object](), asyncio.Event()

    async def named(request: web.Request) -> web.StreamResponse:
        peers.append(request.transport and request.transport.get_extra_info("peername"))
        return web.json_response({})

    async def late(request: web.Request) -> web.StreamResponse:
        await answer.wait()
        return await named(request)

    async with connected(named, named, late, silence, named) as (connection, script):
        await connection.send(READ)
        await connection.send(READ)
        slow = asyncio.ensure_future(connection.send(READ))
        await script.arrivals(3)
        connection._request_timeout = aiohttp.ClientTimeout(total=0.05)
        with frozen():  # until the server has the request
            failing = asyncio.ensure_future(failure_of(connection))
            await script.arrivals(1)
        await failing
        connection._request_timeout = aiohttp.ClientTimeout(total=60)
        await connection.send(READ)
        answer.set()
        await slow

    first, second, third, kept = peers
    assert first == second == kept
    assert third != first


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: there
clusters: [{name: there, cluster: {server: "https://cluster.example:6443", proxy-url: "http://proxy.example"}}]
users: [{name: me, user: {token: my-token}}]
contexts: [{name: there, context: {cluster: there, user: me}}]
"""


async def test_a_kubeconfig_takes_precedence_over_the_service_account(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)

    configuration = await configuration_from(
        {"KUBECONFIG": str(kubeconfig), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    )

    assert configuration.host == "https://cluster.example:6443"
    assert configuration.proxy == "http://proxy.example"
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer my-token"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, "KUBECONFIG is not set, and this is not a pod", id="nothing set"),
        pytest.param({"KUBECONFIG": ""}, "KUBECONFIG is not set, and this is not a pod", id="an empty KUBECONFIG"),
        pytest.param({"KUBECONFIG": "/nowhere"}, "cannot be used", id="a KUBECONFIG that is not there"),
        pytest.param(
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"},
            "cannot be used: Service token file does not exist",
            id="a pod without a service account",
        ),
    ],
)
async def test_a_missing_configuration_is_named(environ: dict[str, str], expected: str) -> None:
    with pytest.raises(NoCluster, match=expected):
        await configuration_from(environ)
