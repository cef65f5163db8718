"""`python -m demo.emulator`: an emulated vault with its login, to try vaultsync in a cluster without Azure.

It is the process of the image that the Dockerfile's target `emulator` makes, and that the chart vaultsync-emulator
starts. It is not for real secrets: they are in memory, end with the process, and the client's secret is public.
"""

import argparse
import asyncio
import json
import os
import signal
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlsplit

from aiohttp import web

from kvsecrets._protocol import Request, Response
from kvsecrets.testing import FakeVault
from tests.emulator.login import LoginEndpoint, Registration
from tests.emulator.tokens import Tokens

_WARNING = (
    "This is an emulator of Azure Key Vault: its client secret is public and nothing is kept. Put no real secret here."
)


def main() -> None:
    """Read the command line and serve until SIGTERM."""
    environ = os.environ  # noqa: TID251  a command starts from its environment
    parser = argparse.ArgumentParser(prog="python -m demo.emulator", description=__doc__)
    parser.add_argument("--listen", default="0.0.0.0:8443", help="address and port")
    parser.add_argument("--tls", type=Path, required=True, help="folder of tls.crt and tls.key")
    parser.add_argument(
        "--secret", action="append", default=[], help="name of a secret to begin with; its value is random"
    )
    arguments = parser.parse_args()
    vault = EmulatedAzure(environ)
    for name in arguments.secret:
        vault.vault.set(name, token_urlsafe(24))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(arguments.tls / "tls.crt", arguments.tls / "tls.key")
    asyncio.run(_serve(vault, arguments.listen, tls))


class EmulatedAzure:
    """A vault and its login behind one URL; the variables are those of clients, and VAULT_URL."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        tenant, url = environ["AZURE_TENANT_ID"], environ["VAULT_URL"]
        tokens = Tokens(lambda: datetime.now(UTC))
        resource = f"https://{urlsplit(url).hostname}"
        self.vault = FakeVault(
            url,
            tenant_id=tenant,
            authority=url,
            check_token=tokens.check_for(tenant_id=tenant, resource=resource),
            rbac=True,
        )
        self._login = LoginEndpoint(url, tokens)
        self._login.registrations[environ["AZURE_CLIENT_ID"]] = Registration(tenant, environ["AZURE_CLIENT_SECRET"])
        self._login_paths = (f"/{tenant}/", "/common/")

    def respond(self, request: Request) -> Response:
        """Answer one request: to the login if its path begins with a tenant."""
        is_login = urlsplit(request.url).path.startswith(self._login_paths)
        return self._login.respond(request) if is_login else self.vault.respond(request)


async def _serve(azure: EmulatedAzure, listen: str, tls: ssl.SSLContext) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        url = f"{azure.vault.url}{request.raw_path}"
        answered = azure.respond(Request(request.method, url, request.headers, await request.read()))
        return web.Response(status=answered.status, headers=answered.headers, body=answered.body)

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = listen.rpartition(":")
    server = web.ServerRunner(web.Server(answer, access_log=None))
    await server.setup()
    await web.TCPSite(server, host, int(port), ssl_context=tls).start()
    print(json.dumps({"vault": azure.vault.url, "warning": _WARNING}), flush=True)
    await stop.wait()
    await server.cleanup()


if __name__ == "__main__":
    main()
