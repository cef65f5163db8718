"""Which parts of packages are imported, and that the others still are when they are used."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from vaultsync.partial_imports import check_installed, left_out, postponed, skip_package_imports

SOURCE = str(Path(__file__).parents[3] / "operator")

PACKAGE = {
    "__init__": "from parts.heavy import Heavy\nfrom parts.light import Light",
    "heavy": "class Heavy: pass",
    "light": "class Light: pass",
}


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    # It is restored at the end.
    monkeypatch.setattr(sys, "modules", sys.modules)
    for name in ("parts", "parts.heavy", "parts.light"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def imported(statement: str) -> set[str]:
    exec(statement, {})  # noqa: S102  it is the test's own
    return {name for name in sys.modules if name.startswith("parts.")}


def test_a_submodule_is_imported_without_what_the_package_imports() -> None:
    skip_package_imports("parts")

    assert imported("import parts.light") == {"parts.light"}


def test_a_name_is_imported_from_its_submodule() -> None:
    skip_package_imports("parts", {"Light": "light"})

    assert imported("from parts import Light") == {"parts.light"}


def test_any_other_name_is_imported_as_the_package_does() -> None:
    skip_package_imports("parts", {"Light": "light"})

    assert imported("from parts import Heavy") == {"parts.light", "parts.heavy"}


def test_a_name_that_no_module_has_is_an_error() -> None:
    skip_package_imports("parts")

    with pytest.raises(ImportError, match="Missing"):
        imported("from parts import Missing")


def test_a_package_that_was_imported_before_stays_as_it_is() -> None:
    imported("import parts")

    skip_package_imports("parts")

    assert imported("from parts import Heavy, Light") == {"parts.light", "parts.heavy"}


def test_a_package_that_is_not_installed_is_left_to_its_import() -> None:
    skip_package_imports("parts_of_nothing")

    assert "parts_of_nothing" not in sys.modules


def test_what_is_left_out_seems_not_to_be_installed_for_a_while() -> None:
    with left_out("parts.heavy"), pytest.raises(ModuleNotFoundError):
        imported("import parts")

    assert imported("import parts") == {"parts.light", "parts.heavy"}


def test_what_was_imported_before_is_not_left_out() -> None:
    imported("import parts.heavy")

    with left_out("parts.heavy"):
        assert imported("import parts") == {"parts.light", "parts.heavy"}


def test_a_postponed_module_is_imported_when_one_of_its_names_is_used(tmp_path: Path) -> None:
    (tmp_path / "parts" / "__init__.py").write_text("")
    scope: dict[str, Any] = {}
    with postponed("parts.light", types={}):
        exec("from parts import light", scope)  # noqa: S102  it is the test's own
    assert "parts.light" not in sys.modules

    made = scope["light"].Light()

    assert type(made).__module__ == "parts.light"
    assert isinstance(made, sys.modules["parts.light"].Light)


def test_a_postponed_type_is_imported_when_something_is_compared_with_it() -> None:
    scope: dict[str, Any] = {}
    with postponed(types={"parts.light": "Light"}):
        exec("from parts.light import Light", scope)  # noqa: S102  the same
    assert "parts.light" not in sys.modules

    assert not isinstance("text", scope["Light"])
    assert isinstance(sys.modules["parts.light"].Light(), scope["Light"])


def test_a_name_that_is_used_at_once_is_imported_at_once() -> None:
    with postponed("parts.light", types={}):
        assert imported("from parts.light import Light") == {"parts.light", "parts.heavy"}

    assert "Light" in vars(sys.modules["parts.light"])


def test_what_was_imported_before_is_not_postponed() -> None:
    imported("import parts.light")
    before = sys.modules["parts.light"]

    with postponed("parts.light", types={}):
        assert sys.modules["parts.light"] is before

    assert sys.modules["parts.light"] is before


@pytest.mark.parametrize("name", ["parts_of_nothing", "parts_of_nothing.light", "parts.of_nothing"])
def test_a_package_that_is_imported_later_is_missed_before(name: str) -> None:
    check_installed("parts", "parts.light")

    with pytest.raises(ModuleNotFoundError, match="nothing"):
        check_installed("parts", name)


def in_memory_after(statements: str) -> set[str]:
    """Return the modules that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statements}\nprint(*sys.modules)"],
        env={"PYTHONPATH": SOURCE, "VAULTSYNC_SHARDS": "none"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_operator_starts_without_what_a_login_or_few_vaultsecrets_need() -> None:
    # It ends with an error about its settings, after it was imported.
    loaded = in_memory_after("from vaultsync.__main__ import main\nassert main(['run']) == 2")

    assert "vaultsync.manager.build" in loaded
    assert not loaded & {
        "azure.core",
        "bcrypt",
        "click",
        "cryptography",
        "liquid",
        "msal",
        "re2",
        "requests",
        "urllib3",
    }


def test_a_login_needs_no_http_but_aiohttp() -> None:
    loaded = in_memory_after("import vaultsync.adapters.identities.credentials")

    assert loaded & {"aiohttp", "azure.identity.aio", "msal.token_cache", "requests", "urllib3"} == {
        "aiohttp",
        "azure.identity.aio",
        "msal.token_cache",
    }


def test_a_login_reads_certificates_once_it_has_one(tmp_path: Path) -> None:
    rsa, elliptic = tmp_path / "rsa.pem", tmp_path / "elliptic.pem"
    for file, kind in ((rsa, trustme.KeyType.RSA), (elliptic, trustme.KeyType.ECDSA)):
        issued = trustme.CA(key_type=kind).issue_cert("client", key_type=kind)
        file.write_bytes(issued.private_key_and_cert_chain_pem.bytes())

    loaded = in_memory_after(f"""
from vaultsync.adapters.identities.client_library import CertificateCredential
assert "cryptography.hazmat.bindings._rust" not in sys.modules
CertificateCredential("tenant", "client", certificate_path={str(rsa)!r})
try:
    CertificateCredential("tenant", "client", certificate_path={str(elliptic)!r})
except ValueError as error:
    assert "RSA" in str(error)
else:
    raise AssertionError
""")

    assert "cryptography.hazmat.bindings._rust" in loaded
