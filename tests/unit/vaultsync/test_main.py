"""The command line: its output, the files it writes and checks, and the error if dependencies are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from vaultsync import __version__
from vaultsync.__main__ import main
from vaultsync.api.schema import crd_files

SOURCE = Path(__file__).parents[3] / "operator"


def run_bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a Python that has only the standard library."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "vaultsync", *arguments],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert capsys.readouterr().out == f"vaultsync {__version__}\n"


def test_crds_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    assert capsys.readouterr().out.encode() == b"---\n".join(crd_files().values())


def test_crds_are_written_to_a_new_folder_and_pass_the_check(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "crds"

    assert main(["crds", "--write", str(folder)]) == 0

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == crd_files()
    assert main(["crds", "--check", str(folder)]) == 0


def test_a_stale_file_is_reported_with_the_command_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["crds", "--write", str(tmp_path)])
    (tmp_path / "vaultsecrets.yaml").write_text("kind: CustomResourceDefinition\n")

    assert main(["crds", "--check", str(tmp_path)]) == 1

    expected = f"{tmp_path / 'vaultsecrets.yaml'} is stale: run vaultsync crds --write {tmp_path}\n"
    assert capsys.readouterr().err == expected


def test_a_missing_file_is_stale(tmp_path: Path) -> None:
    assert main(["crds", "--check", str(tmp_path)]) == 1


def test_another_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["crds", "--write", str(tmp_path)])
    (tmp_path / "old.yaml").touch()

    assert main(["crds", "--check", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'old.yaml'} is not a CRD; delete it\n"


def test_the_version_needs_no_dependency() -> None:
    assert run_bare("--version").stdout == f"vaultsync {__version__}\n"


def test_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sync"])

    assert "invalid choice: 'sync'" in capsys.readouterr().err
