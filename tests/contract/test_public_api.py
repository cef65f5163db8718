"""The public names and modules of the client library, and that importing it has no side effects."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import textwrap
from importlib.resources import files

import pytest

import kvsecrets

PUBLIC_MODULES = {"aio", "client", "errors", "models", "operations", "paging", "testing"}


def test_the_public_names_are_sorted_and_complete() -> None:
    names = {name for name in vars(kvsecrets) if not name.startswith("_")}
    modules = {name for name in names if inspect.ismodule(getattr(kvsecrets, name))}

    assert kvsecrets.__all__ == sorted(kvsecrets.__all__, key=lambda name: (not name.isupper(), name))
    assert names - modules == set(kvsecrets.__all__) - {"__version__"}


def test_every_public_class_is_exported_by_the_package() -> None:
    classes: set[str] = set()
    for name in PUBLIC_MODULES - {"testing"}:
        module = importlib.import_module(f"kvsecrets.{name}")
        defined = {key for key, member in vars(module).items() if getattr(member, "__module__", "") == module.__name__}
        classes |= {key for key in defined if not key.startswith("_") and inspect.isclass(vars(module)[key])}

    assert classes <= set(kvsecrets.__all__)


def test_every_other_module_is_private() -> None:
    modules = {module.name for module in pkgutil.iter_modules(kvsecrets.__path__)}

    assert {name for name in modules if not name.startswith("_")} == PUBLIC_MODULES


@pytest.mark.parametrize("name", kvsecrets.__all__)
def test_every_public_class_has_a_docstring(name: str) -> None:
    member = getattr(kvsecrets, name)

    assert not inspect.isclass(member) or (member.__doc__ and not member.__doc__.startswith(f"{name}("))


def test_the_library_is_marked_as_typed() -> None:
    assert (files(kvsecrets) / "py.typed").is_file()


def test_importing_the_library_imports_neither_the_operator_nor_the_vendors_packages() -> None:
    program = textwrap.dedent("""
        import sys
        import kvsecrets
        import kvsecrets.testing
        foreign = {"azure", "vaultsync", "kopf", "kubernetes", "pydantic", "aiohttp", "opentelemetry", "requests"}
        print(sorted({name.partition(".")[0] for name in sys.modules} & foreign))
    """)

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert printed.stdout.strip() == "[]"


def test_importing_the_library_starts_no_thread_and_adds_no_log_handler() -> None:
    program = (
        "import threading, logging, kvsecrets; print(threading.active_count(), logging.getLogger('kvsecrets').handlers)"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert printed.stdout.strip() == "1 []"
