"""HTTP to the Kubernetes API: address, authentication, timeouts, JSON in and out; knows no resource.

Of the client library only the configuration, token renewal and TLS context are used. Its generated classes cannot
request metadata only, and building their models costs more than the request. Requests are sent by aiohttp itself, as
the library does.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Literal, Protocol
from urllib.parse import urlencode, urlsplit

import aiohttp

from kvsecrets import CertificateProblem
from vaultsync.adapters.kube.bounded_session import BoundedResponse, ResponseTooLarge, batched_session
from vaultsync.adapters.kube.client_library import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    ConfigException,
    Configuration,
    InClusterConfigLoader,
    RESTClientObject,
    load_kube_config,
)
from vaultsync.adapters.kube.errors import PageTooLarge, api_error
from vaultsync.adapters.kube.fence import FencedRequest, fenced
from vaultsync.adapters.kube.json_documents import parsed, parsed_list
from vaultsync.adapters.kube.requests import WATCH_SECONDS, Request
from vaultsync.connection_faults import explain, fault_of
from vaultsync.errors import Reason, SyncError
from vaultsync.state.shards import Shards
from vaultsync.texts import one_line
from vaultsync.trust import without_strict_x509

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = 30.0
"""Seconds for a request and its response."""

WATCH_TIMEOUT = WATCH_SECONDS + 5.0
"""Seconds until a watch is opened again if the server does not end it: then its connection is dead, although open."""

RELOAD_INTERVAL = 5.0
"""Seconds from one reload of the configuration to the next: each may run a program, and opens new connections."""


_READ_BUFFER = 2 * 1024 * 1024
"""Bytes that are received before they are read: a page, or a burst of a watch, in one go."""

_AUTHORITY = "the kubeconfig, or the pod's service account, must name its authority"


class NoCluster(Exception):
    """There is no configuration of the Kubernetes API, or it cannot be used."""


async def configuration_from(environ: Mapping[str, str]) -> Configuration:
    """Load the kubeconfig that `KUBECONFIG` names if it is set, otherwise the service account of the pod.

    The service account's token is read again every minute, since Kubernetes renews it.

    Raises:
        NoCluster: Neither is there, or it cannot be used.
    """
    configuration = Configuration()
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
        raise NoCluster(f"The Kubernetes configuration cannot be used: {one_line(str(error))}") from error
    return configuration


class RequestObserver(Protocol):
    """Observes the requests that another client sends by a session of `Connection.open_session`."""

    async def sending(self, request: aiohttp.ClientRequest) -> None:
        """Wait until the request may be sent."""
        ...

    def answered(self, request: aiohttp.ClientRequest) -> None:
        """Record that the API server has begun to answer, without an error."""
        ...

    def denied(self, request: aiohttp.ClientRequest) -> bool:
        """Record that a permission is missing (HTTP 403); return whether the observer logs that itself."""
        ...


class _Sessions:
    """The sessions of one configuration, which are replaced as a whole, and closed once nothing uses them any more."""

    def __init__(self, configuration: Configuration, *, connections: int) -> None:
        self.configuration = configuration
        # The authority is the kubeconfig's, or the service account's, and no other.
        self.tls = without_strict_x509(RESTClientObject(configuration).ssl_context)
        self.requests = self._session(connections)
        self.watches = self._session(0)
        self.replaced = False
        self._uses = 0

    def _session(self, connections: int) -> aiohttp.ClientSession:
        """Open a session of at most so many connections; 0 is without a limit."""
        # The environment's proxies are for the vaults, and the session would read them, and ~/.netrc, in a thread at
        # every request. The kubeconfig's proxy-url is used.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=self.tls),
            proxy=self.configuration.proxy,
            trust_env=False,
            read_bufsize=_READ_BUFFER,
            request_class=FencedRequest,
            response_class=BoundedResponse,
        )

    async def __aenter__(self) -> None:
        """Keep the sessions open."""
        self._uses += 1

    async def __aexit__(self, *_: object) -> None:
        self._uses -= 1
        await self.close_unused()

    async def close_unused(self) -> None:
        """Close them if they are replaced and not in use."""
        if self.replaced and not self._uses:
            await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.requests.close()
        await self.watches.close()


class Connection:
    """Sends requests; every failure is a `SyncError` that holds no part of a body."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        user_agent: str,
        connections: int,
        shards: Shards | None = None,
        reload: Callable[[], Awaitable[Configuration]] | None = None,
        request_timeout: float = REQUEST_TIMEOUT,
        watch_timeout: float = WATCH_TIMEOUT,
    ) -> None:
        """Open no connection yet.

        Args:
            configuration: Address and credentials.
            user_agent: Our name in the API server's audit log.
            connections: The number of concurrent requests; watches are not counted. Others wait for them without a time
                limit, so that a crowd never looks like a failure of the API server.
            shards: The shards for which this replica may write; all if None.
            reload: Loads the configuration again when the API server has rejected its credentials, or its authority
                does not verify the API server's certificate.
            request_timeout: Seconds that a request may take.
            watch_timeout: Seconds that a watch may take, which is longer than the server lets it last.
        """
        self._user_agent = user_agent
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._shards = Shards.all() if shards is None else shards
        self._reload = reload
        self._request_timeout = aiohttp.ClientTimeout(total=request_timeout)
        self._watch_timeout = aiohttp.ClientTimeout(total=watch_timeout)
        self._sessions = _Sessions(configuration, connections=connections)
        self._reloading = asyncio.Lock()
        self._next_reload = 0.0

    async def close(self) -> None:
        """Close all connections."""
        await self._sessions.close()

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._sessions.configuration.host)

    async def open_session(self, observer: RequestObserver | None = None) -> aiohttp.ClientSession:
        """Open a session for another client of the same API, which reads VaultSecrets and parses JSON itself.

        Each request carries the credentials that are valid then. The client certificate and the authority are those of
        the time of opening: open another session when the API server responds with HTTP status 401, and after a
        `SyncError`, which a request raises if there are others now that may verify the API server.
        """
        opened = self._sessions

        async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            if observer is not None:
                await observer.sending(request)
            sessions = self._sessions
            if authorization := await _authorization(sessions.configuration):
                request.headers["Authorization"] = authorization
            try:
                response = await handler(request)
            except (aiohttp.ClientError, TimeoutError) as error:
                _log_failed_watch(request, error=_cause(error, opened.configuration))
                if isinstance(error, aiohttp.ClientSSLError):
                    await self._reload_configuration(opened)
                    if opened is not self._sessions:
                        raise SyncError(Reason.CLUSTER_UNAVAILABLE, "The session's authority was replaced.") from None
                raise
            if response.status == HTTPStatus.UNAUTHORIZED:
                await self._reload_configuration(sessions)
            _report(observer, request, response)
            return response

        headers = {"User-Agent": self._user_agent}
        return batched_session(tls=opened.tls, proxy=opened.configuration.proxy, headers=headers, middleware=send)

    async def send(self, request: Request) -> Mapping[str, Any]:
        """Send a request and return the document of its response.

        Raises:
            NotServed: It writes for a namespace that this replica does not serve.
            SyncError: The server responded with an error, or not in time; `api_error` has the classes.
        """
        async with self._slots, self._open("requests", request, self._request_timeout) as response:
            return _document(await response.read(), request.about)

    async def send_apart(self, request: Request, timeout: float) -> Mapping[str, Any]:  # noqa: ASYNC109  aiohttp's
        """Send a request that waits for no others, and return the document of its response, within `timeout` seconds.

        Raises:
            SyncError: As `send`.
        """
        async with self._open("watches", request, aiohttp.ClientTimeout(total=timeout)) as response:
            return _document(await response.read(), request.about)

    async def send_list(self, request: Request, read: Callable[[Mapping[str, Any]], object]) -> Mapping[str, Any]:
        """Send a request for a page of a list; in the document, what `read` returns takes the place of each object.

        Raises:
            PageTooLarge: Request fewer objects.
            SyncError: As `send`.
        """
        async with self._open("requests", request, self._request_timeout) as response:
            return _expect_json(parsed_list(await response.read(), read), request.about)

    async def documents(
        self, request: Request, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Stream the documents of a response, one per line, until the server ends it; call `on_open` at its begin.

        Raises:
            SyncError: The server responded with an error, or the connection broke.
        """
        async with self._open("watches", request, self._watch_timeout) as response:
            on_open()
            async for line in response.content:
                yield _document(line, request.about)

    @asynccontextmanager
    async def _open(
        self, kind: Literal["requests", "watches"], request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a response, and translate the failures of the request and of reading the response."""
        sessions = self._sessions
        session: aiohttp.ClientSession = getattr(sessions, kind)
        kind_of_error: type[SyncError] = SyncError
        try:
            async with (
                sessions,
                fenced(request, self._shards),
                await self._call(sessions, session, request, limits) as response,
            ):
                if response.status == HTTPStatus.UNAUTHORIZED:
                    await self._reload_configuration(sessions)
                if response.status >= HTTPStatus.BAD_REQUEST:
                    # An overloaded server, or a proxy, may send plain text instead of a `Status`.
                    status = parsed(await response.read()) or {}
                    raise api_error(
                        response.status,
                        status,
                        request.about,
                        retry_after=_retry_after(response),
                        reads=request.method == "GET",
                    )
                yield response
        except TimeoutError:
            problem = "did not respond in time"
            # All connections may lead through what does not respond: each of them would take as long.
            await self._replace(sessions, sessions.configuration)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
            problem = f"is not reachable: {_cause(error, sessions.configuration)}"
            if isinstance(error, aiohttp.ClientSSLError):
                await self._reload_configuration(sessions)
        except aiohttp.InvalidURL:
            problem = "cannot be called: server or proxy-url of the kubeconfig is no URL"
        except ResponseTooLarge:
            kind_of_error, problem = PageTooLarge, "returned a response that is too large"
        except aiohttp.ClientError as error:
            problem = f"closed the connection ({type(error).__name__})"
        else:
            return
        # Outside of the handlers: otherwise its context would be one of those errors, whose headers have our token.
        raise kind_of_error(Reason.CLUSTER_UNAVAILABLE, f"{request.about}: the Kubernetes API {problem}.")

    async def _reload_configuration(self, rejected: _Sessions) -> None:
        """Load the configuration again: token or authority were replaced, or the token was revoked."""
        async with self._reloading:
            if rejected is not self._sessions or time.monotonic() < self._next_reload:
                return
            configuration = await self._load(rejected.configuration)
            self._next_reload = time.monotonic() + RELOAD_INTERVAL
            if configuration is not None:
                await self._replace(rejected, configuration)

    async def _load(self, present: Configuration) -> Configuration | None:
        """Load the configuration; return None if that fails, or if there are no credentials any more."""
        if self._reload is None:
            return None
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                loaded = await self._reload()
        except Exception as error:  # noqa: BLE001  half of a file that is being written can raise anything
            _log_failed_reload(type(error).__name__)
            return None
        if _authenticates(present) and not _authenticates(loaded):
            # The program that a kubeconfig names has failed. Without credentials we would be anonymous: the API server
            # would respond 403 from then on, and never again 401.
            _log_failed_reload("no credentials")
            return None
        return loaded

    async def _replace(self, sessions: _Sessions, configuration: Configuration) -> None:
        """Use new connections from now on; those in use are closed when their requests have ended."""
        if sessions is not self._sessions:
            return
        try:
            self._sessions = _Sessions(configuration, connections=self._connections)
        except (OSError, ValueError) as error:
            _log_failed_reload(type(error).__name__)
            return
        sessions.replaced = True
        await sessions.close_unused()

    async def _call(
        self, sessions: _Sessions, session: aiohttp.ClientSession, request: Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        configuration = sessions.configuration
        call = partial(
            session.request,
            request.method,
            f"{configuration.host}{request.path}{_query(tuple(request.query.items()))}",
            headers=await self._headers(sessions, request),
            data=None if request.body is None else json.dumps(request.body).encode(),
            timeout=limits,
            server_hostname=configuration.tls_server_name,
            proxy_headers=configuration.proxy_headers,
        )
        try:
            return await call()
        except aiohttp.ServerDisconnectedError:
            # The server closed an idle connection at the time of its reuse, or carried the request out and its response
            # was lost. The session itself repeats reads and deletions. A patch may be sent twice: it names the state
            # that it changes, or sets the same fields again.
            if request.method != "PATCH":
                raise
            return await call()

    async def _headers(self, sessions: _Sessions, request: Request) -> dict[str, str]:
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": self._user_agent}
        authorization = await _authorization(sessions.configuration)
        return {**headers, "Authorization": authorization} if authorization else headers


@lru_cache(maxsize=64)
def _query(parameters: tuple[tuple[str, str], ...]) -> str:
    """Return the end of a URL; all writes of a kind have the same."""
    return f"?{urlencode(parameters)}" if parameters else ""


async def _authorization(configuration: Configuration) -> str | None:
    try:
        authorization: str | None = await configuration.get_api_key_with_prefix("BearerToken")
    except (ConfigException, OSError, ValueError):
        # The service account's token cannot be read now. The last one is valid for many minutes; then follows a 401.
        authorization = configuration.api_key.get("BearerToken")
    return authorization


def _report(observer: RequestObserver | None, request: aiohttp.ClientRequest, response: aiohttp.ClientResponse) -> None:
    if response.ok:
        if observer is not None:
            observer.answered(request)
    elif response.status != HTTPStatus.FORBIDDEN or observer is None or not observer.denied(request):
        _log_failed_watch(request, status=response.status)


def _log_failed_watch(request: aiohttp.ClientRequest, **fields: str | int) -> None:
    # The path names the namespace. It is that of the client, and so has nothing that the server has chosen.
    logger.warning("vaultsecret watch request failed", extra={"path": request.url.path, **fields})


def _cause(error: Exception, configuration: Configuration) -> str:
    """Return why the API server did not respond, or the name of the error's class if it is about something else."""
    fault = fault_of(error, urlsplit(configuration.host).hostname)
    if fault is None:
        return type(error).__name__
    cause = explain(fault).cause
    return f"{cause}; {_AUTHORITY}" if fault.certificate is CertificateProblem.UNKNOWN_AUTHORITY else cause


def _log_failed_reload(error: str) -> None:
    logger.warning("API credentials not renewed", extra={"error": error})


def _authenticates(configuration: Configuration) -> bool:
    return bool(configuration.api_key or configuration.cert_file)


def _document(body: bytes, about: str) -> dict[str, Any]:
    return _expect_json(parsed(body), about)


def _expect_json(document: dict[str, Any] | None, about: str) -> dict[str, Any]:
    if document is None:
        raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"{about}: the Kubernetes API did not return JSON.")
    return document


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
