"""The samples and the guide of the client library run against a fake vault."""

import ast
import base64
import dataclasses
import importlib.util
import inspect
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from kvsecrets import (
    AsyncSecretClient,
    DeletedSecret,
    KeyVaultSecret,
    RetryPolicy,
    SecretClient,
    SecretProperties,
    errors,
)
from kvsecrets._drivers import TIMEOUT
from kvsecrets._requests import API_VERSION
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeVault

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
GUIDE = SAMPLES.parent / "kvsecrets.md"


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def client(vault: FakeVault) -> Iterator[SecretClient]:
    with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
        yield client


@pytest.fixture
def with_certificate() -> Iterator[SecretClient]:
    """A client in the API version of the guide's examples of certificates, and the secret of one."""
    vault = FakeVault()
    key = ec.generate_private_key(ec.SECP256R1())
    archive = pkcs12.serialize_key_and_certificates(b"shop-tls", key, None, None, serialization.NoEncryption())
    vault.set("shop-tls", base64.b64encode(archive).decode(), content_type="application/x-pkcs12", managed=True)
    with SecretClient(vault.url, FakeCredential(), transport=vault.transport(), api_version="2025-07-01") as client:
        yield client


def sample(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"sample_{name}", SAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hello_world(client: SecretClient, vault: FakeVault, capsys: pytest.CaptureFixture[str]) -> None:
    sample("hello_world").run(client)

    printed = capsys.readouterr().out
    assert "its value prints as **********, and is 13 characters long" in printed
    assert "tags {'team': 'shop'}" in printed
    assert "cleared  its expiry: None" in printed
    assert "there are 2 now" in printed
    assert vault.calls["delete"] == 1


def test_list_operations(client: SecretClient, vault: FakeVault, capsys: pytest.CaptureFixture[str]) -> None:
    sample("list_operations").run(client)

    printed = capsys.readouterr().out
    assert "sample-key is disabled\nsample-password is enabled and expires soon\n" in printed
    assert "sample-password has 2 versions" in printed
    assert "sample-key is deleted" in printed
    assert vault.calls["get"] == 0


def test_backup_and_restore(client: SecretClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample("backup_and_restore").run(client, tmp_path)

    assert "restored sample-password with 2 versions, the newest is 'battery staple'" in capsys.readouterr().out


def test_recover_and_purge(client: SecretClient, capsys: pytest.CaptureFixture[str]) -> None:
    sample("recover_and_purge").run(client)

    printed = capsys.readouterr().out
    assert "cannot set it while it is deleted: ObjectIsDeletedButRecoverable" in printed
    assert "recovered it: correct horse" in printed
    assert "purged it for good" in printed


def test_recover_and_purge_under_purge_protection(capsys: pytest.CaptureFixture[str]) -> None:
    vault = FakeVault(purge_protection=True)
    with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
        sample("recover_and_purge").run(client)

    assert "this vault does not allow purging" in capsys.readouterr().out


async def test_async_client(vault: FakeVault, capsys: pytest.CaptureFixture[str]) -> None:
    vault.set("db", "not of the sample")
    credential = AsyncFakeCredential()
    async with AsyncSecretClient(vault.url, credential, transport=vault.async_transport()) as client:
        await sample("async_client").run(client)

    printed = capsys.readouterr().out
    assert "read 5 secrets at once" in printed
    assert "0 are left" in printed
    assert vault.value("db") == "not of the sample"
    assert len(credential.logins) == 1


@pytest.mark.slow
def test_the_sample_test_passes_with_pytest_and_no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SAMPLES / "test_with_fake_vault.py")]
    run = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-c", "/dev/null"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert "3 passed" in run.stdout, run.stdout + run.stderr


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo what an example changes in the loggers of this process."""
    root, ours = logging.getLogger(), logging.getLogger("kvsecrets")
    handlers, level = list(root.handlers), ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


@pytest.mark.usefixtures("restored_logging")
async def test_every_example_of_the_guide_runs_in_order(
    client: SecretClient, with_certificate: SecretClient, vault: FakeVault
) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    async with AsyncSecretClient(vault.url, AsyncFakeCredential(), transport=vault.async_transport()) as aclient:
        names: dict[str, Any] = {}
        for number, example in enumerate(examples):
            code = compile(example, f"{GUIDE.name}, example {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            outcome = eval(code, names)  # noqa: S307 - our own guide
            if code.co_flags & inspect.CO_COROUTINE:
                await outcome
            names["client"] = client  # the vault of the first example does not exist
            names["newer"] = with_certificate
            if "read_all" in names:
                await names.pop("read_all")(aclient)

    assert len(examples) > 10


def test_the_guide_lists_every_error() -> None:
    table = GUIDE.read_text().partition("| class |")[2].partition("\n\n")[0]

    listed = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))

    assert listed == set(errors.__all__) - {"CertificateProblem", "ConnectionProblem"}


def test_the_guide_lists_every_option_with_its_default() -> None:
    table = GUIDE.read_text().partition("| option |")[2].partition("\n\n")[0]
    options = [
        name
        for name, it in inspect.signature(SecretClient).parameters.items()
        if it.kind is inspect.Parameter.KEYWORD_ONLY
    ]

    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == options
    assert f"| `api_version` | `{API_VERSION}` |" in table
    assert f"| `timeout` | {TIMEOUT:g} s |" in table
    assert f"`attempts` ({RetryPolicy().attempts})" in table


@pytest.mark.parametrize("model", [DeletedSecret, KeyVaultSecret, SecretProperties])
def test_the_guide_lists_every_field_of_a_model(model: type) -> None:
    table = GUIDE.read_text().partition(f"| `{model.__name__}` |")[2].partition("\n\n")[0]

    cells = [line.split("|")[1] for line in table.splitlines()[2:]]

    assert re.findall(r"`(\w+)`", " ".join(cells)) == [field.name for field in dataclasses.fields(model)]


def test_the_guide_lists_every_method_of_the_fake_vault() -> None:
    table = GUIDE.read_text().partition("| `FakeVault` |")[2].partition("\n\n")[0]

    listed = set(re.findall(r"`(\w+)(?:\(.*?\))?`", table))

    assert {name for name in dir(FakeVault) if not name.startswith("_")} <= listed


def test_the_guide_lists_every_sample() -> None:
    guide = GUIDE.read_text()

    assert [path.name for path in SAMPLES.glob("*.py") if f"samples/{path.name}" not in guide] == []
