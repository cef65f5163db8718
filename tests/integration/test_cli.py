"""The commands for users of a cluster, on a real API server: what they print, and what they may not see."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.controlplane.plane import ControlPlane
from tests.integration.shop import DENIED, HOSTILE, IN_SYNC, VAULTSECRETS, Shop
from tests.manifests import URL
from vaultsync import __version__
from vaultsync.api import REFRESH_ANNOTATION

ROOT = Path(__file__).parents[2]


def columns(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in text.splitlines()]


def test_status_shows_all_vaultsecrets_of_a_namespace(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("db", IN_SYNC)
    shop.add("web", DENIED)
    shop.add("new")

    assert shop.run("status", "-o", "wide") == 0

    assert columns(capsys.readouterr().out) == [
        ["NAME", "READY", "REASON", "LAST SUCCESS", "EXPIRES", "VAULT", "MESSAGE"],
        ["web", "False", "AccessDenied", "20d", URL, "a [2Jb"],
        [
            "new",
            "Unknown",
            "Pending",
            "never",
            "https://shop.vault.azure.net",
            "The operator has not reconciled it yet.",
        ],
        ["db", "True", "Synced", "<2m", "in 30d", URL, "All well."],
        ["1 ready, 1 not ready, 1 unknown"],
    ]


def test_status_as_json(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("web", DENIED)

    assert shop.run("status", "-o", "json") == 0

    text = capsys.readouterr().out
    (item,) = json.loads(text)["items"]
    assert (item["name"], item["reason"], item["message"]) == ("web", "AccessDenied", HOSTILE)
    assert text.isascii()


def test_a_list_of_many_pages_is_read_to_its_end(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaultsync.adapters.kube.bounded_session.MAX_ITEMS", 2)
    for number in range(5):
        shop.add(f"db-{number}")

    assert shop.run("status") == 0

    assert "5 unknown" in capsys.readouterr().out


def test_status_in_all_namespaces_needs_the_right_to_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("db", IN_SYNC)
    assert shop.run("status", "-A") == 0
    assert [shop.namespace, "db", "True"] in [row[:3] for row in columns(capsys.readouterr().out)]

    tenant = shop.plane.user("tenant", [VAULTSECRETS], shop.namespace)

    assert shop.run("status", kubeconfig=tenant) == 0
    assert "1 ready" in capsys.readouterr().out
    assert shop.run("status", "-A", kubeconfig=tenant) == 1
    assert capsys.readouterr().err == "error: You may not list vaultsecrets.vaultsync.dev in all namespaces.\n"


def test_no_vaultsecrets_and_no_such_cluster(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.run("status") == 0
    assert capsys.readouterr().out == f"No VaultSecrets in namespace {shop.namespace}; -A shows all namespaces.\n"

    assert shop.run("status", "--context", "other") == 1
    assert "The kubeconfig cannot be used" in capsys.readouterr().err
    assert shop.run("status", kubeconfig=Path("/nowhere")) == 1
    assert capsys.readouterr().err == "error: There is no kubeconfig /nowhere: set KUBECONFIG, or --kubeconfig.\n"


def test_credentials_that_are_rejected_are_the_users(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads(shop.plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    wrong = tmp_path / "kubeconfig"
    wrong.write_text(json.dumps(config))

    assert shop.run("status", kubeconfig=wrong) == 1

    assert "The Kubernetes API rejected your credentials" in capsys.readouterr().err


def test_refresh_sets_the_annotation_and_waits_for_the_operator(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("db", IN_SYNC)

    def operate() -> None:
        requested = None
        while requested is None:
            found = shop.api.get(shop.path("db"))
            assert found is not None
            requested = found["metadata"].get("annotations", {}).get(REFRESH_ANNOTATION)
        shop.report("db", IN_SYNC.changed(last_handled_refresh=requested, observed_generation=1))

    operator = threading.Thread(target=operate)
    operator.start()
    code = shop.run("refresh", "db", "--timeout", "300")
    operator.join()

    assert (code, capsys.readouterr().out) == (0, f"{shop.namespace}/db: Synced: All well.\n")


def test_refresh_says_why_nothing_happens(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("db", DENIED)
    shop.add("resting", suspend=True)
    tenant = shop.plane.user("reader", [VAULTSECRETS], shop.namespace)

    assert shop.run("refresh", "other") == 1
    assert capsys.readouterr().out == f"There is no VaultSecret {shop.namespace}/other.\n"
    assert shop.run("refresh", "resting") == 1
    assert "It is suspended" in capsys.readouterr().out
    assert shop.run("refresh", "db", "--timeout", "0.01") == 1
    assert "was not refreshed within 0.01 seconds" in capsys.readouterr().out
    assert shop.run("refresh", "db", kubeconfig=tenant) == 1
    text = f"error: You may not patch vaultsecrets.vaultsync.dev/db in namespace {shop.namespace}.\n"
    assert capsys.readouterr().err == text


def test_who_uses_names_secrets_and_pods(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("db", IN_SYNC, target={"name": "db-login"})
    shop.add("other", vaultUrl="https://other.vault.azure.net")
    shop.add_pod("web-1", "db-login")
    shop.add_pod("web-2", "unrelated")

    assert shop.run("who-uses", "shop", "db-password") == 0

    assert columns(capsys.readouterr().out) == [
        ["NAMESPACE", "VAULTSECRET", "SECRET", "KEYS", "PODS"],
        [shop.namespace, "db", "db-login", "password", "web-1"],
    ]
    assert shop.run("who-uses", "shop", "none") == 0
    assert capsys.readouterr().out == "No VaultSecret uses secret none of shop.\n"


def test_who_uses_says_which_pods_it_may_not_see(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.add("db", IN_SYNC)
    tenant = shop.plane.user("tenant", [VAULTSECRETS], shop.namespace)

    assert shop.run("who-uses", "shop", kubeconfig=tenant) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"The right `list pods in namespace {shop.namespace}` shows them.")


def environ(plane: ControlPlane, folder: Path) -> Mapping[str, str]:
    """The variables of a shell in which the wheel is installed: with the program of its entry point."""
    program = folder / "kubectl-vaultsync"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom vaultsync.__main__ import main\nsys.exit(main())\n")
    program.chmod(0o755)
    found = plane.environ()
    return {**found, "PATH": f"{folder}{os.pathsep}{found['PATH']}", "PYTHONPATH": str(ROOT / "operator")}


def test_it_is_a_plugin_of_kubectl(shop: Shop, tmp_path: Path) -> None:
    shop.add("db", IN_SYNC)
    variables = environ(shop.plane, tmp_path)

    def kubectl(*arguments: str) -> str:
        command = ["kubectl", "vaultsync", *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout

    assert columns(kubectl("status", "-n", shop.namespace))[1] == ["db", "True", "Synced", "<2m", "in 30d"]
    assert kubectl("--version") == f"vaultsync {__version__}\n"
    assert kubectl("status", "--help").startswith("usage: kubectl vaultsync status ")


def test_status_shows_what_changes(shop: Shop, tmp_path: Path) -> None:
    shop.add("db", IN_SYNC)
    command = [str(tmp_path / "kubectl-vaultsync"), "status", "-w", "-n", shop.namespace]

    with subprocess.Popen(command, env=environ(shop.plane, tmp_path), stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        shown = [columns(watching.stdout.readline())[0][:3] for _ in range(3)]
        shop.report("db", DENIED.changed(observed_generation=1))
        shown.append(columns(watching.stdout.readline())[0][:3])
        shop.api.delete(shop.path("db"))
        last = watching.stdout.readline()
        watching.terminate()

    assert shown == [
        ["NAME", "READY", "REASON"],
        ["db", "True", "Synced"],
        ["1 ready"],
        ["db", "False", "AccessDenied"],
    ]
    assert last == f"{shop.namespace}/db was deleted\n"
