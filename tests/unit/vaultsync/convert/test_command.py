"""`vaultsync convert`: files and the standard input, exit codes, and the error if a package is missing."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.vaultsync.convert.samples import AKV2K8S, SAMPLES
from vaultsync.__main__ import main
from vaultsync.convert.reading import MAX_BYTES


def test_a_complete_conversion_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.yaml"
    file.write_text(AKV2K8S)

    assert main(["convert", str(file)]) == 0

    printed = capsys.readouterr()
    assert printed.out.startswith("# A VaultGrant is for whoever administers the cluster")
    assert printed.err == ""


def test_findings_are_on_stderr_and_end_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.yaml"
    file.write_text(SAMPLES["ClusterExternalSecret"])

    assert main(["convert", str(file)]) == 1

    field = "ClusterSecretStore/central spec.provider.azurekv.authSecretRef.clientId"
    assert capsys.readouterr().err.startswith(f"{file}:12: {field}: clientId is in Secret azure, ")


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\xff", b"#" * (MAX_BYTES + 1)], ids=["yaml", "utf-8", "size"])
def test_unusable_input_ends_with_2(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.yaml"
    file.write_bytes(content)

    assert main(["convert", str(file)]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("vaultsync convert: ")


@pytest.mark.parametrize("content", ["a: 1\n", "a: [\n", "---\n" * 6000], ids=["finding", "yaml", "documents"])
def test_the_name_of_a_file_reaches_no_terminal_as_it_is(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever writes files for a repository names them, too."""
    file = tmp_path / "in\x1b[2J\r.yaml"
    file.write_text(content)

    main(["convert", str(file)])

    assert capsys.readouterr().err.removesuffix("\n").isprintable()


def test_a_file_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    assert main(["convert", str(tmp_path / "none.yaml")]) == 2


def test_the_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(AKV2K8S.encode())))

    assert main(["convert", "-"]) == 0

    assert "# From AzureKeyVaultSecret shop/password (<stdin>:1)" in capsys.readouterr().out


def test_the_output_is_written_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.yaml").write_text(AKV2K8S)
    main(["convert", str(tmp_path / "in.yaml")])
    printed = capsys.readouterr().out

    assert main(["convert", str(tmp_path / "in.yaml"), "--output", str(tmp_path / "out.yaml")]) == 0

    assert (tmp_path / "out.yaml").read_text() == printed
    assert capsys.readouterr().out == ""


def test_adoption_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.yaml").write_text(AKV2K8S)

    main(["convert", "--adopt", str(tmp_path / "in.yaml")])

    printed = capsys.readouterr().out
    assert printed.count("adopt: true") == 3  # of the grant, and of each VaultSecret


def test_the_namespace_of_objects_without_one_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.yaml").write_text(AKV2K8S.replace("  namespace: shop\n", "").replace(", namespace: shop", ""))

    main(["convert", "-n", "web", str(tmp_path / "in.yaml")])

    assert capsys.readouterr().out.count("namespace: web") == 2


@pytest.mark.parametrize("package", ["ruamel", "ruamel.yaml"])  # the first one is other packages', too
def test_a_missing_package_is_named_with_the_command_to_install_it(package: str) -> None:
    run = f"import sys; sys.modules['{package}'] = None; from vaultsync.__main__ import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", run, "convert", "x.yaml"],
        env={"PYTHONPATH": str(Path(__file__).parents[4] / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr == "vaultsync convert needs more packages: pip install 'vaultsync[cli]'\n"


def test_an_output_that_cannot_be_written_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.yaml").write_text(AKV2K8S)

    assert main(["convert", str(tmp_path / "in.yaml"), "-o", str(tmp_path / "none" / "out.yaml")]) == 2

    assert capsys.readouterr().err.startswith("vaultsync convert: ")


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(AKV2K8S)

    assert main(["convert", str(tmp_path / "in.yaml"), str(tmp_path / "in.yaml")]) == 0
