"""Starts the emulator as a separate process and controls it; tests, the demo and the benchmarks use it."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self, Unpack

import httpx

from tests.emulator.options import VaultOptions

ROOT = Path(__file__).parents[2]
_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
"""Guards against hanging: a busy machine may take long."""


class EmulatorFailed(Exception):
    """The emulator did not start, or refused a command."""


class EmulatedVault:
    """One vault, controlled from outside: nothing here uses the vault's own API or is counted there."""

    def __init__(self, name: str, url: str, control: httpx.Client) -> None:
        self.name = name
        self.url = url
        self._control = control

    def set(self, name: str, value: str, **attributes: object) -> str:
        """Set a secret and return its new version's id; the attributes are those of `FakeVault.set`."""
        version: str = self._command("set", name=name, value=value, **attributes)
        return version

    def set_many(self, secrets: Iterable[Mapping[str, object]]) -> None:
        """Set many secrets at once, each with the arguments of `set`."""
        self._command("set_many", secrets=[_plain(secret) for secret in secrets])

    def value(self, name: str, version: str | None = None) -> str:
        """Read a value."""
        value: str = self._command("value", name=name, version=version)
        return value

    def enable(self, name: str, version: str | None = None) -> None:
        """Enable a version, by default the newest."""
        self._command("enable", name=name, version=version)

    def disable(self, name: str, version: str | None = None) -> None:
        """Disable a version, by default the newest."""
        self._command("disable", name=name, version=version)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of a secret."""
        self._command("tag", name=name, tags=dict(tags))

    def delete(self, *names: str) -> None:
        """Start the deletion of secrets, of all of them between two calls of clients."""
        self._command("batch", commands=[["delete", {"name": name}] for name in names])

    def recover(self, *names: str) -> None:
        """Start the recovery of deleted secrets, of all of them between two calls of clients."""
        self._command("batch", commands=[["recover", {"name": name}] for name in names])

    def purge(self, name: str) -> None:
        """Start the removal of a deleted secret for good."""
        self._command("purge", name=name)

    def fail(self, calls: int = 1, *, status: int = 503, kind: str | None = None) -> None:
        """Have the next calls, or the next of one kind such as `get`, fail."""
        self._command("fail", calls=calls, status=status, kind=kind)

    def throttle(self, calls: int = 1, *, retry_after: int | None = None, kind: str | None = None) -> None:
        """Answer the next calls with 429, and with `Retry-After` in seconds if given."""
        self._command("throttle", calls=calls, retry_after=retry_after, kind=kind)

    def deny(self, permission: str, *, client_id: str | None = None) -> None:
        """Take a permission such as `list` away, from all clients or from one."""
        self._command("deny", permission=permission, client_id=client_id)

    def allow(self, permission: str, *, client_id: str | None = None) -> None:
        """Grant what `deny` denied with the same arguments."""
        self._command("allow", permission=permission, client_id=client_id)

    def close_firewall(self) -> None:
        """Refuse every caller's address."""
        self._command("close_firewall")

    def open_firewall(self) -> None:
        """Undo `close_firewall`."""
        self._command("open_firewall")

    def close_door(self) -> None:
        """Stop listening and cut all connections: connecting is refused."""
        self._command("close_door")

    def open_door(self) -> None:
        """Listen again, on the same port."""
        self._command("open_door")

    def break_(self, way: str, **options: object) -> None:
        """Break the vault in a way, see `Listener.break_`, until it is mended."""
        self._command("break", way=way, **options)

    def mend(self) -> None:
        """Undo `break_`."""
        self._command("mend")

    def lag(self, seconds: float, *, kind: str | None = None, every: int = 1) -> None:
        """Answer requests, see `Selection`, from a replica that is so far behind; 0 for none."""
        self._command("lag", seconds=seconds, kind=kind, every=every)

    def latency(self, seconds: float) -> None:
        """Delay the response to every call."""
        self._command("latency", seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Move the vault's clock forward; the login's clock, by which tokens expire, stays."""
        self._command("advance", seconds=seconds)

    def demand_claims(self) -> None:
        """Reject the next token, until a call brings another."""
        self._command("demand_claims")

    def calls(self) -> Counter[str]:
        """How many calls of each kind came, refused ones included."""
        return Counter(self._command("calls"))

    def lists(self) -> list[float]:
        """When each listing began, page by page, in seconds of the monotonic clock."""
        moments: list[float] = self._command("lists")
        return moments

    def forget_calls(self) -> None:
        """Count from zero again."""
        self._command("forget_calls")

    def _command(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - each command has its own result
        return _command(self._control, f"/{self.name}/{command}", arguments)


class Emulator:
    """A running emulator."""

    def __init__(self, urls: Mapping[str, Any], control: httpx.Client) -> None:
        self.login_url: str = urls["login"]
        self.control_url: str = urls["control"]
        self.ca_file = Path(urls["ca_file"])
        self.tenant_id: str = urls["tenant_id"]
        self.client_id: str = urls["client_id"]
        self.client_secret: str = urls["client_secret"]
        self._control = control
        self._vaults = {name: EmulatedVault(name, url, control) for name, url in urls["vaults"].items()}

    @classmethod
    @contextmanager
    def start(cls, folder: Path, *, vaults: Iterable[str] = ("shop",), port: int = 0) -> Iterator[Self]:
        """Run the emulator in a separate process until the block ends.

        Raises:
            EmulatorFailed: it did not come up; its own words are in `emulator.log` in the folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "urls.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.emulator", "--with-parent", "--dir", str(folder), "--port", str(port)]
        for name in vaults:
            command += ["--vault", name]
        with (
            (folder / "emulator.log").open("wb") as log,
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log) as process,
        ):
            try:
                urls = _wait_for_urls(folder / "urls.json", process)
                with httpx.Client(base_url=urls["control"], trust_env=False, timeout=_START_SECONDS) as control:
                    yield cls(urls, control)
            finally:
                _stop(process)

    def vault(self, name: str) -> EmulatedVault:
        """Return the control of a vault."""
        return self._vaults[name]

    def vault_url(self, name: str) -> str:
        """Return the URL of a vault."""
        return self._vaults[name].url

    def add_vault(self, name: str, **options: Unpack[VaultOptions]) -> EmulatedVault:
        """Set up one more vault."""
        url = self._command("add_vault", name=name, **options)
        self._vaults[name] = EmulatedVault(name, url, self._control)
        return self._vaults[name]

    def remove_vault(self, name: str) -> None:
        """Take a vault away, with its port and its secrets."""
        self._command("remove_vault", name=name)
        del self._vaults[name]

    def environment(self) -> dict[str, str]:
        """Return the variables with which azure-identity logs in here with a secret, and TLS is trusted.

        They must be set before a process starts: aiohttp reads `SSL_CERT_FILE` when it is imported. The credentials for
        threads also need `disable_instance_discovery=True`, or they send a request about the login's host to Microsoft.
        """
        return {
            "AZURE_AUTHORITY_HOST": self.login_url,
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_CLIENT_SECRET": self.client_secret,
            "SSL_CERT_FILE": str(self.ca_file),
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
        }

    def register(
        self, client_id: str, *, secret: str | None = None, subjects: Iterable[str] = (), tenant_id: str | None = None
    ) -> None:
        """Allow one more client to log in: with a secret, or with an assertion about one of the subjects."""
        self._command(
            "register",
            client_id=client_id,
            tenant_id=tenant_id or self.tenant_id,
            secret=secret,
            subjects=list(subjects),
        )

    def logins(self) -> Counter[str]:
        """The number of requests for tokens (`token`) and for documents about the login (`discovery`, `instance`)."""
        return Counter(self._command("logins"))

    def fail_login(self, calls: int = 1, *, status: int = 503, body: str = "") -> None:
        """Have the next requests for a token fail, with that body."""
        self._command("fail_login", calls=calls, status=status, body=body)

    def break_login(self, way: str, **options: object) -> None:
        """Break the login in a way, see `Listener.break_`, until it is mended."""
        self._command("break_login", way=way, **options)

    def mend_login(self) -> None:
        """Undo `break_login`."""
        self._command("mend_login")

    def token_lifetime(self, seconds: float) -> None:
        """Make tokens live that long from now on."""
        self._command("token_lifetime", seconds=seconds)

    def revoke_tokens(self, client_id: str | None = None) -> None:
        """Have every vault refuse the tokens issued so far, to one client or to all, with its usual challenge."""
        self._command("revoke_tokens", client_id=client_id)

    def advance(self, seconds: float) -> None:
        """Move the login's clock forward, by which tokens expire."""
        self._command("advance", seconds=seconds)

    def _command(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - each command has its own result
        return _command(self._control, f"/{command}", arguments)


def _command(control: httpx.Client, path: str, arguments: Mapping[str, object]) -> Any:  # noqa: ANN401 - as above
    answer = control.post(path, content=json.dumps(_plain(arguments)))
    document = answer.json()
    if answer.is_error:
        raise EmulatorFailed(document["error"])
    return document["result"]


def _plain(arguments: Mapping[str, object]) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in arguments.items()}


def _wait_for_urls(file: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists():
        if process.poll() is not None:
            raise EmulatorFailed(f"the emulator ended with {process.returncode}; see {file.parent / 'emulator.log'}")
        if time.monotonic() > deadline:
            raise EmulatorFailed(f"the emulator did not start within {_START_SECONDS} s")
        time.sleep(0.02)
    urls: dict[str, Any] = json.loads(file.read_text())
    return urls


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
