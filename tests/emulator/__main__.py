"""`python -m tests.emulator`: serves vaults and a login over TLS on loopback until SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.emulator.controls import Controls
from tests.emulator.listener import Listener
from tests.emulator.state import CLIENT_ID, CLIENT_SECRET, TENANT_ID, EmulatorState


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder to write ca.pem and urls.json to")
    parser.add_argument("--port", type=int, default=0, help="first vault's port, the others follow; 0: free ports")
    parser.add_argument("--vault", action="append", dest="vaults", help="a vault's name; may be given more than once")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    folder = arguments.dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(folder, arguments.port, arguments.vaults or ["shop"], with_parent=arguments.with_parent))


async def _serve(folder: Path, port: int, vaults: list[str], *, with_parent: bool) -> None:
    control = Listener(tls=None, port=port + len(vaults) + 1 if port else 0)
    state = EmulatorState(folder / "ca.pem", login_port=port + len(vaults) if port else 0)
    stop = asyncio.Event()
    await _stop_on_signals(stop, with_parent=with_parent)
    async with state:
        for index, name in enumerate(vaults):
            await state.add_vault(name, port=port + index if port else 0)
        control.serve_requests(Controls(state).answer)
        await control.open()
        _announce(state, control.url, folder)
        await stop.wait()
        await control.release()


async def _stop_on_signals(stop: asyncio.Event, *, with_parent: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        await loop.connect_read_pipe(lambda: _Lifeline(stop), sys.stdin)


class _Lifeline(asyncio.Protocol):
    """Stops when the other end of a pipe is closed: when the program that started this one has ended."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, _error: Exception | None) -> None:
        self._stop.set()


def _announce(state: EmulatorState, control_url: str, folder: Path) -> None:
    urls = {
        "vaults": {name: served.vault.url for name, served in state.vaults.items()},
        "login": state.login.url,
        "control": control_url,
        "ca_file": str(state.ca_file),
        "tenant_id": TENANT_ID,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    text = json.dumps(urls, indent=2)
    unfinished = folder / "urls.json.part"
    unfinished.write_text(text)
    unfinished.rename(folder / "urls.json")
    print(text, flush=True)


if __name__ == "__main__":
    main()
