"""HTTP by aiohttp, for asyncio: the connections of one client, and one request with its response over them.

aiohttp parses HTTP in C: a get takes less than a third of the CPU time of one over httpx. No error or type of it leaves
this module. Redirects are not followed, and the response body is read up to a limit.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from kvsecrets._exchange import (
    KEEPALIVE_SECONDS,
    MAX_IN_FLIGHT,
    Body,
    Cause,
    check_answer,
    connect_seconds,
    connection_failed,
    headers_of,
    known_cause,
    lost_response,
    malformed,
    no_connection,
    no_slot,
    proxy_url,
    refuse_compressed,
    refused_by_proxy,
    unusable_proxy,
)
from kvsecrets._protocol import Response, Send
from kvsecrets.errors import KeyVaultError, UnexpectedAnswer

MAX_HEADER_BYTES = 65_536
"""Upper bound of one header of a response; a challenge that requires claims is long."""


class _Interrupted(aiohttp.ClientError):
    """A request that is not sent again got no response."""


class _Connector(aiohttp.TCPConnector):
    """Connections that are not used again if an unrequested response arrived on them.

    aiohttp looks for it when it keeps a connection, and not when it takes it from those that it keeps.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's, which enforces it
    ) -> aiohttp.connector.Connection:
        """Return a connection on which nothing has arrived."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection
            connection.close()


class _Response(aiohttp.ClientResponse):
    """A response that knows its connection also after its end, when another request may use the connection."""

    protocol: Any = None
    """The connection, of a class that aiohttp does not export."""
    is_malformed = False
    """Whether what arrived breaks the rules of HTTP. Within a body, aiohttp waits for more of it all the same."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Read the head of the response."""
        self.protocol = connection.protocol
        return await super().start(connection)

    def close(self) -> None:
        """Close the connection unless the response has ended; a closed connection forgets its error."""
        if self.protocol is not None:
            self.is_malformed = isinstance(self.protocol.exception(), HttpProcessingError)
        super().close()

    def disconnect(self) -> None:
        """Close the connection."""
        if self.protocol is not None:
            self.protocol.close()


class Proxy(NamedTuple):
    """The proxy to a host: its URL without a login, headers that log in, and its address; all None without one."""

    url: URL | None = None
    headers: Mapping[str, str] | None = None
    address: str | None = None


class AiohttpExchange:
    """Sends requests to one host over connections of its own, which belong to the event loop that sends first."""

    def __init__(self, host: str, tls: ssl.SSLContext, timeout: float) -> None:
        self._host = host
        self._tls = tls
        self._timeout = timeout
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._session: aiohttp.ClientSession | None = None
        self._proxy = Proxy()
        self._is_closed = False

    async def __call__(
        self,
        effect: Send,
        headers: dict[str, str],
        timeout: float,  # noqa: ASYNC109 - it is enforced with asyncio.timeout below
    ) -> Response:
        """Send a request and return its response, in this task; `timeout` bounds the whole exchange.

        Raises:
            ConnectionFailed: No complete response arrived.
            UnexpectedAnswer: It is not valid HTTP, too large, compressed, or not a response to this request.
        """
        begun: list[_Response] = []
        failed: KeyVaultError
        await self._acquire_slot()
        try:
            session = self._open()
            async with asyncio.timeout(timeout):
                return await self._exchange(session, effect, headers, timeout, begun)
        except (aiohttp.ClientError, OSError) as error:
            if _is_malformed(error) or any(response.is_malformed for response in begun):
                failed = malformed(effect)
            else:
                failed = connection_failed(effect, _classify(error, timeout), self._proxy.address)
            # Such an error shows the headers of the request, and thus the token, in its representation.
            if not isinstance(error, aiohttp.ClientResponseError):
                raise failed from error
        finally:
            self._slots.release()
        raise failed

    async def close(self) -> None:
        """Close all connections: requests in flight fail, and no more are accepted."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        effect: Send,
        headers: dict[str, str],
        timeout: float,  # noqa: ASYNC109 - that of the connection is computed from it
        begun: list[_Response],
    ) -> Response:
        request = effect.request
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            headers={**headers, **request.headers},
            data=request.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(connect=connect_seconds(timeout), ceil_threshold=timeout),
            proxy_headers=self._proxy.headers,
            middlewares=() if request.method == "GET" else (_send_once,),
        )
        assert isinstance(response, _Response)
        begun.append(response)
        try:
            received = headers_of(response.raw_headers)
            refuse_compressed(effect, received)
            body = Body(effect)
            async for chunk in response.content.iter_any():
                body.add(chunk)
            return check_answer(effect, Response(response.status, received, body.content()))
        except UnexpectedAnswer:
            response.disconnect()
            raise
        finally:
            # This closes the connection unless the response has ended: then it is idle by now.
            response.close()

    async def _acquire_slot(self) -> None:
        """Wait for a turn. aiohttp counts such a wait as a part of the time to connect."""
        if not self._slots.locked():  # without this, each request would pay for a timeout
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise no_slot(self._timeout) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise RuntimeError("this client is closed")
        if self._session is None:
            self._proxy = proxy_to(self._host)
            self._session = aiohttp.ClientSession(
                connector=_Connector(
                    ssl=self._tls,
                    limit=0,
                    keepalive_timeout=KEEPALIVE_SECONDS,
                    # Its other resolver raises errors without the codes of the system, and bypasses the event loop.
                    resolver=aiohttp.ThreadedResolver(),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Response,
                auto_decompress=False,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                proxy=self._proxy.url,
            )
        return self._session


def proxy_to(host: str) -> Proxy:
    """Return the proxy to a host by the environment's variables.

    Raises:
        ConnectionFailed: The URL of the proxy cannot be used.
    """
    url = proxy_url(host)
    if url is None:
        return Proxy()
    with suppress(ValueError):
        parsed = URL(url)
        if parsed.scheme in {"http", "https"} and parsed.host:
            has_login = parsed.raw_user is not None
            login = {"proxy-authorization": aiohttp.encode_basic_auth(parsed.user or "", parsed.password or "")}
            name = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
            return Proxy(parsed.with_user(None), login if has_login else None, f"{name}:{parsed.port}")
    raise unusable_proxy(host)


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request: aiohttp would send one with PUT or DELETE again if the connection breaks, and it may be executed.

    https://docs.aiohttp.org/en/stable/client_advanced.html#client-middleware
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Interrupted from error


def _is_malformed(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError)


def _classify(error: Exception, timeout: float) -> Cause:
    if known := known_cause(error):
        return known
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(error.status)
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
        return no_connection(error, timed_out=isinstance(error, TimeoutError))
    return lost_response(error, timeout, timed_out=isinstance(error, TimeoutError))
