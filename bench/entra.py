"""`python -m bench.entra LOGIN CA FOLDER`: the public login, login.microsoftonline.com, as a proxy of TLS leads to it.

A program whose login cannot be set reaches it with `HTTPS_PROXY`, and with `SSL_CERT_FILE` trusts its authority. Each
request for a token is counted, and is answered with a token of the emulator's login, which is requested once: the real
login would cost this machine nothing. Any other host is refused.
"""

import argparse
import asyncio
import json
import logging
import ssl
import sys
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import trustme

from tests.emulator.state import RESOURCE

HOST: Final = "login.microsoftonline.com"
_ANSWER: Final = "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"


class Login:
    """Answers requests for tokens as Entra ID does.

    Args:
        url: The emulator's login.
        trusted: Its authority.
    """

    def __init__(self, url: str, trusted: Path) -> None:
        self.count = 0
        self._url = url
        self._tls = ssl.create_default_context(cafile=trusted)
        self._tokens: dict[str, str] = {}

    def answer(self, path: str, body: bytes) -> bytes:
        """Return the body of the response to a request for a token, of version 1.0 or 2.0."""
        self.count += 1
        tenant = path.strip("/").partition("/")[0]
        form = {name: values[0] for name, values in urllib.parse.parse_qs(body.decode()).items()}
        if tenant not in self._tokens:
            self._tokens[tenant] = self._token(tenant, form)
        now = int(datetime.now(UTC).timestamp())
        times = {"expires_in": "3599", "ext_expires_in": "3599", "expires_on": str(now + 3599), "not_before": str(now)}
        token = {"token_type": "Bearer", "resource": form.get("resource", ""), "access_token": self._tokens[tenant]}
        return json.dumps({**token, **times}).encode()

    def _token(self, tenant: str, form: dict[str, str]) -> str:
        asked = {name: form[name] for name in ("client_id", "client_secret", "grant_type")}
        data = {**asked, "scope": f"{RESOURCE}/.default"}
        answer = httpx.post(f"{self._url}/{tenant}/oauth2/v2.0/token", data=data, verify=self._tls, trust_env=False)
        token: str = answer.raise_for_status().json()["access_token"]
        return token


async def serve(login: Login, folder: Path) -> None:
    """Serve until standard input ends; the folder receives `ca.pem`, and `port` once it listens."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(tls)

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await _head(reader))[0].split(" ")[1]
            if target == "/count":  # the benchmark's own question
                _respond(writer, 200, str(login.count).encode())
                return
            if target != f"{HOST}:443":
                _respond(writer, 403, b"{}")
                return
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.start_tls(tls)
            while True:
                first, *headers = await _head(reader)
                length = next((int(line.split(":")[1]) for line in headers if line.startswith("content-length:")), 0)
                _respond(writer, 200, login.answer(first.split(" ")[1], await reader.readexactly(length)))
        except (OSError, asyncio.IncompleteReadError, IndexError):
            pass  # the client has ended the connection
        finally:
            writer.close()

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "port.part").write_text(str(server.sockets[0].getsockname()[1]))
    (folder / "port.part").rename(folder / "port")
    await asyncio.to_thread(sys.stdin.read)


async def _head(reader: asyncio.StreamReader) -> list[str]:
    """Read the first line of a request, and its headers in lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return [head[0], *(line.lower() for line in head[1:])]


def _respond(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    writer.write(_ANSWER.format(status, "OK" if status < 300 else "Forbidden", len(body)).encode() + body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.entra", description=__doc__)
    parser.add_argument("login")
    parser.add_argument("ca", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns at each end of a connection with TLS
    asyncio.run(serve(Login(options.login, options.ca), options.folder))
