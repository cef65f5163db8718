"""The layers that the code claims: operator/ is a source root and no package, and modules import only what they may."""

import operator
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def test_every_import_contract_is_kept() -> None:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"

    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_source_root_holds_packages_and_no_module() -> None:
    modules = [path.name for path in (ROOT / "operator").glob("*.py")]

    assert modules == [], "a module here would make a package of operator/, which shadows the standard library's"


def test_import_operator_finds_the_standard_librarys_from_the_root_of_the_checkout() -> None:
    program = "import operator; print(operator.__file__)"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == operator.__file__
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))
