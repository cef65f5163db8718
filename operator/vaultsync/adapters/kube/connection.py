"""HTTP to the Kubernetes API: address, authentication, timeouts, JSON in and out; knows no resource.

Of the client library only the configuration, token renewal and HTTP session are used. Its generated classes cannot
request metadata only, and building their models costs more than the request.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_kube_config
from kubernetes.aio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)

from vaultsync.adapters.kube.bounded_session import bounded_session
from vaultsync.adapters.kube.errors import api_error
from vaultsync.adapters.kube.json_documents import parsed
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import Reason, SyncError

REQUEST_TIMEOUT = 30.0
"""Seconds for a request, its response, and the wait for a free connection."""

WATCH_TIMEOUT = 150.0
"""Seconds until the next event of a watch. Bookmarks arrive about once a minute: without one the connection is dead."""


class NoCluster(Exception):
    """There is no configuration of the Kubernetes API, or it cannot be used."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response: `status` is 201 when the request created the object."""

    status: int
    document: Mapping[str, Any]


async def configuration_from(environ: Mapping[str, str]) -> Configuration:
    """Load the kubeconfig that `KUBECONFIG` names if it is set, otherwise the service account of the pod.

    The service account's token is read again every minute, since Kubernetes renews it.

    Raises:
        NoCluster: Neither is there, or it cannot be used.
    """
    configuration = Configuration()
    # The chain and the host name are still verified; Python 3.13's strict mode rejects cluster authorities without an
    # extension that no other Kubernetes client requires.
    configuration.disable_strict_ssl_verification = True
    try:
        if environ.get("KUBECONFIG"):
            await load_kube_config(
                config_file=environ["KUBECONFIG"], client_configuration=configuration, persist_config=False
            )
        elif environ.get(SERVICE_HOST_ENV_NAME):
            InClusterConfigLoader(
                token_filename=SERVICE_TOKEN_FILENAME, cert_filename=SERVICE_CERT_FILENAME, environ=environ
            ).load_and_set(configuration)
        else:
            raise NoCluster("No Kubernetes API is configured: KUBECONFIG is not set, and this is not a pod.")
    except ConfigException as error:
        raise NoCluster(f"The Kubernetes configuration cannot be used: {error}") from error
    return configuration


class _Response(aiohttp.ClientResponse):
    """A response that aborts its connection when it is closed before its end: a watch that ends, a timeout.

    aiohttp would start a TLS shutdown and keep the socket until the server takes part in it, which takes half a minute
    if the server is gone.
    """

    def close(self) -> None:
        self._abort()
        super().close()

    def release(self) -> object:
        self._abort()
        return super().release()

    def _abort(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()


class Connection:
    """Sends requests; every failure is a `SyncError` that holds no part of a body."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        user_agent: str,
        connections: int,
        request_timeout: float = REQUEST_TIMEOUT,
        watch_timeout: float = WATCH_TIMEOUT,
    ) -> None:
        """Open no connection yet.

        Args:
            configuration: Address and credentials.
            user_agent: Our name in the API server's audit log.
            connections: The number of concurrent requests; watches are not counted.
            request_timeout: Seconds that a request may take.
            watch_timeout: Seconds that may pass between two events of a watch.
        """
        self._configuration = configuration
        self._user_agent = user_agent
        self._request_timeout = aiohttp.ClientTimeout(total=request_timeout)
        self._watch_timeout = aiohttp.ClientTimeout(total=None, sock_connect=request_timeout, sock_read=watch_timeout)
        # The environment's proxies are for the vaults, and the session would read them, and ~/.netrc, in a thread at
        # every request. The kubeconfig's proxy-url is used.
        configuration.client_session_kwargs = {"trust_env": False, "response_class": _Response}
        configuration.connection_pool_maxsize = connections
        self._client = ApiClient(configuration)
        configuration.connection_pool_maxsize = 0
        self._watches = ApiClient(configuration)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._watches.close()

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._configuration.host)

    async def open_session(self) -> aiohttp.ClientSession:
        """Open a session for another client of the same API, whose responses contain no deep JSON.

        Its credentials expire: open another one when the API server responds with HTTP status 401.

        Raises:
            SyncError: The service account's token cannot be read.
        """
        headers = {"User-Agent": self._user_agent}
        if authorization := await self._authorization("Watch of VaultSecrets"):
            headers["Authorization"] = authorization
        tls = self._watches.rest_client.ssl_context
        return bounded_session(tls=tls, proxy=self._configuration.proxy, headers=headers)

    async def send(self, request: Request) -> Response:
        """Send a request and read its response.

        Raises:
            SyncError: The server responded with an error, or not in time; `api_error` has the classes.
        """
        async with self._open(self._client, request, self._request_timeout) as response:
            return Response(response.status, _document(await response.read(), request.about))

    async def documents(self, request: Request) -> AsyncGenerator[Mapping[str, Any], None]:
        """Stream the documents of a response, one per line, until the server ends it.

        Raises:
            SyncError: The server responded with an error, or the connection broke.
        """
        async with self._open(self._watches, request, self._watch_timeout) as response:
            async for line in response.content:
                yield _document(line, request.about)

    @asynccontextmanager
    async def _open(
        self, client: ApiClient, request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a response, and translate the failures of the request and of reading the response."""
        try:
            async with await self._call(client, request, limits) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    # An overloaded server, or a proxy, may send plain text instead of a `Status`.
                    status = parsed(await response.read()) or {}
                    raise api_error(response.status, status, request.about, retry_after=_retry_after(response))
                yield response
        except TimeoutError:
            problem = "did not respond in time"
        except aiohttp.ClientConnectorError as error:
            problem = f"is not reachable: {error}"
        except aiohttp.ClientError as error:
            problem = f"closed the connection ({type(error).__name__})"
        else:
            return
        # Outside of the handlers: otherwise the context would be those errors, whose headers have our token.
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"{request.about}: the Kubernetes API {problem}.")

    async def _call(self, client: ApiClient, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        url = f"{self._configuration.host}{request.path}"
        if request.query:
            url = f"{url}?{urlencode(request.query)}"
        call = partial(
            client.call_api,
            request.method,
            url,
            header_params=await self._headers(request),
            body=request.body,
            _request_timeout=limits,
        )
        try:
            result = await call()
        except aiohttp.ServerDisconnectedError:
            # The server closed an idle connection at the time of its reuse, or carried the request out and its response
            # was lost. The session itself repeats reads and deletions. A patch may be sent twice: it names the state
            # that it changes, or sets the same fields again.
            if request.method != "PATCH":
                raise
            result = await call()
        response: aiohttp.ClientResponse = result.response
        return response

    async def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": self._user_agent}
        authorization = await self._authorization(request.about)
        return {**headers, "Authorization": authorization} if authorization else headers

    async def _authorization(self, about: str) -> str | None:
        try:
            authorization: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        except (ConfigException, OSError) as error:
            raise SyncError(
                Reason.CLUSTER_UNAVAILABLE, f"{about}: the service account's token cannot be read: {error}."
            ) from None
        return authorization


def _document(body: bytes, about: str) -> dict[str, Any]:
    document = parsed(body)
    if document is None:
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"{about}: the Kubernetes API did not return JSON.")
    return document


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
