"""tests/unit mirrors operator/ name by name: what a module promises is found in one test module, and no other.

Where that would be too long, it is a folder with the module's name: `reconcile.py` is tested by `reconcile/test_*.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "operator"
UNIT: Final = ROOT / "tests" / "unit"


def source_modules() -> Iterator[Path]:
    """Every module but `__init__`, which holds names and no behaviour."""
    yield from (path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def mirror(module: Path) -> Path:
    """The test module of a source module: `kvsecrets/_flow.py` is tested by `kvsecrets/test_flow.py`.

    Where a public module has the same name (`operations.py` beside `_operations.py`), the private one's tests keep the
    underscore.
    """
    folder = Path(*(part.removeprefix("_") for part in module.parts[:-1]))
    public = module.name.lstrip("_")
    twin = public != module.name and (SOURCE / module).with_name(public).exists()
    return folder / f"test_{module.name if twin else public.replace('__.py', '.py')}"


def folder(test_module: Path) -> Path:
    """The folder that stands for a test module which would be too long: `test_reconcile.py` is `reconcile/`."""
    return test_module.with_name(test_module.stem.removeprefix("test_"))


def mirrors(module: Path) -> set[Path]:
    """Where a source module may be tested: the one test module, and those that its folder has."""
    one = mirror(module)
    return {one, *(path.relative_to(UNIT) for path in (UNIT / folder(one)).glob("test_*.py"))}


def existing(test_modules: set[Path]) -> set[Path]:
    return {path for path in test_modules if (UNIT / path).exists()}


def test_every_module_has_its_test_module() -> None:
    missing = {str(mirror(module)) for module in source_modules() if not existing(mirrors(module))}

    assert missing == set()


def test_no_module_has_both_a_test_module_and_a_folder_of_them() -> None:
    both = {
        str(mirror(module))
        for module in source_modules()
        if mirror(module) in (there := existing(mirrors(module))) and len(there) > 1
    }

    assert both == set()


def test_every_test_module_has_its_module() -> None:
    known = {path for module in source_modules() for path in mirrors(module)}

    orphans = {str(path.relative_to(UNIT)) for path in UNIT.rglob("test_*.py") if path.relative_to(UNIT) not in known}

    assert orphans == set()
