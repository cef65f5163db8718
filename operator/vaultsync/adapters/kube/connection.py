"""How requests travel to the Kubernetes API: address, login, time limits, JSON in and out; knows no resource.

The client's generated classes are passed by: they cannot ask for metadata alone, and building their models costs more
than the request. Its configuration, token renewal and HTTP session are what we use.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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

from vaultsync.adapters.kube.errors import refusal
from vaultsync.adapters.kube.json_documents import parsed
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import Reason, SyncError

ANSWER_WITHIN = 30.0
"""Seconds for a request, its answer, and the wait for a free connection."""

NEWS_WITHIN = 150.0
"""Seconds for the next word of a watch. Bookmarks come about once a minute: a longer silence is a dead connection."""


class NoCluster(Exception):
    """Nothing tells where the Kubernetes API is, or what tells it is broken."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is and how to log in, for those who speak to it by themselves; `token` is good for a while."""

    server: str
    verify: bool
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    proxy: str | None
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `status` is 201 when the request made the object."""

    status: int
    document: Mapping[str, Any]


async def configuration_from(environ: Mapping[str, str]) -> Configuration:
    """Find the cluster: the files that `KUBECONFIG` names if it is set, otherwise the pod's own service account.

    The service account's token is read again every minute, since Kubernetes renews it. Raises `NoCluster`.
    """
    configuration = Configuration()
    # The chain and the host name are checked all the same; Python 3.13's strict mode refuses cluster authorities
    # that lack an extension which no other Kubernetes client asks for.
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
            raise NoCluster("Neither KUBECONFIG is set nor is this a pod: no Kubernetes API to talk to.")
    except ConfigException as error:
        raise NoCluster(f"The Kubernetes configuration cannot be used: {error}") from error
    return configuration


class _Response(aiohttp.ClientResponse):
    """An answer that drops its connection at once if nobody reads it to its end: a watch that is left, a time limit.

    aiohttp would say farewell in TLS and keep the socket until the server has said it too: half a minute, out of our
    sight, if the server is gone.
    """

    def close(self) -> None:
        self._drop()
        super().close()

    def release(self) -> object:
        self._drop()
        return super().release()

    def _drop(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()


class Connection:
    """Sends requests; every failure comes out as a `SyncError` that holds no part of a body."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        user_agent: str,
        connections: int,
        answer_within: float = ANSWER_WITHIN,
        news_within: float = NEWS_WITHIN,
    ) -> None:
        """Open nothing yet.

        Args:
            configuration: Where the API is, and how to log in.
            user_agent: What the API server's audit log calls us.
            connections: How many requests may be under way at once; watches come on top.
            answer_within: Seconds that a request may take.
            news_within: Seconds that a watch may be silent.
        """
        self._configuration = configuration
        self._user_agent = user_agent
        self._answer_within = aiohttp.ClientTimeout(total=answer_within)
        self._news_within = aiohttp.ClientTimeout(total=None, sock_connect=answer_within, sock_read=news_within)
        # The environment's proxies are for the vaults. The session would ask for them, and for ~/.netrc, in a thread at
        # every request; a kubeconfig's proxy-url is obeyed.
        configuration.client_session_kwargs = {"trust_env": False, "response_class": _Response}
        configuration.connection_pool_maxsize = connections
        self._client = ApiClient(configuration)
        configuration.connection_pool_maxsize = 0
        self._watches = ApiClient(configuration)

    async def close(self) -> None:
        """Drop all connections."""
        await self._client.close()
        await self._watches.close()

    async def access(self) -> Access:
        """Tell how to get to the same API as the same user.

        Raises:
            SyncError: The service account's token cannot be read.
        """
        configuration = self._configuration
        authorization = await self._authorization("The watch of VaultSecrets")
        return Access(
            server=configuration.host,
            verify=configuration.verify_ssl,
            ca_file=configuration.ssl_ca_cert,
            certificate_file=configuration.cert_file,
            key_file=configuration.key_file,
            proxy=configuration.proxy,
            # A kubeconfig's token comes after "Bearer", a service account's after "bearer".
            token=authorization.partition(" ")[2] if authorization else None,
        )

    async def send(self, request: Request) -> Answer:
        """Send a request and read its answer.

        Raises:
            SyncError: The server refused, or did not answer in time.
        """
        async with self._answered(self._client, request, self._answer_within) as response:
            return Answer(response.status, _document(await response.read(), request.about))

    async def documents(self, request: Request) -> AsyncGenerator[Mapping[str, Any], None]:
        """Follow an answer that goes on, a document a line, until the server ends it.

        Raises:
            SyncError: The server refused, or the connection broke.
        """
        async with self._answered(self._watches, request, self._news_within) as response:
            async for line in response.content:
                yield _document(line, request.about)

    @asynccontextmanager
    async def _answered(
        self, client: ApiClient, request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Hold the response while it is read."""
        try:
            async with await self._call(client, request, limits) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    # An overloaded server, or a proxy before it, may send plain text instead of a document.
                    status = parsed(await response.read()) or {}
                    raise refusal(response.status, status, request.about, retry_after=_wait(response))
                yield response
        except TimeoutError:
            trouble = "does not answer in time"
        except aiohttp.ClientConnectorError as error:
            trouble = f"cannot be reached: {error}"
        except aiohttp.ClientError as error:
            trouble = f"broke off the connection ({type(error).__name__})"
        else:
            return
        # Not inside the handlers: the errors would come along as context, and they carry headers with our token.
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"{request.about}: the Kubernetes API {trouble}.")

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
            answer = await call()
        except aiohttp.ServerDisconnectedError:
            # The server closed an idle connection just as we took it up. Reads are repeated by the session itself; all
            # our patches may be sent twice, since they say what is to be and not what is to change.
            if request.method != "PATCH":
                raise
            answer = await call()
        response: aiohttp.ClientResponse = answer.response
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
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"{about}: the Kubernetes API does not answer in JSON.")
    return document


def _wait(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
