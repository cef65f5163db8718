"""Where a user's cluster is found: by flags, by KUBECONFIG, in the home directory, in a pod."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vaultsync.adapters.kube import NoCluster
from vaultsync.adapters.kube.kubeconfig import user_configuration


def kubeconfig(path: Path, server: str, *, namespace: str = "", context: str = "first") -> str:
    """A file with two contexts."""

    def named(name: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, kind: fields}

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            named("first", "cluster", {"server": server}),
            named("second", "cluster", {"server": "https://second.test"}),
        ],
        "users": [named("me", "user", {"token": "t"})],
        "contexts": [
            named("first", "context", {"cluster": "first", "user": "me", "namespace": namespace}),
            named("second", "context", {"cluster": "second", "user": "me"}),
        ],
    }
    path.write_text(json.dumps(config))
    return str(path)


async def test_the_variable_names_the_file_and_the_file_the_namespace(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "https://first.test", namespace="shop")

    found = await user_configuration({"KUBECONFIG": path})

    assert (found.configuration.host, found.namespace) == ("https://first.test", "shop")


async def test_flags_come_before_the_variable(tmp_path: Path) -> None:
    ours, other = kubeconfig(tmp_path / "a", "https://a.test"), kubeconfig(tmp_path / "b", "https://b.test")

    found = await user_configuration({"KUBECONFIG": other}, kubeconfig=ours, context="second")

    assert (found.configuration.host, found.namespace) == ("https://second.test", "default")


async def test_several_files_are_one_configuration(tmp_path: Path) -> None:
    files = os.pathsep.join([str(tmp_path / "missing"), kubeconfig(tmp_path / "a", "https://a.test")])

    assert (await user_configuration({"KUBECONFIG": files})).configuration.host == "https://a.test"


async def test_the_file_of_the_home_directory_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube" / "config", "https://home.test")

    assert (await user_configuration({})).configuration.host == "https://home.test"


async def test_in_a_pod_its_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("not read yet")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("vaultsync.adapters.kube.connection.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("vaultsync.adapters.kube.connection.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}

    found = await user_configuration({**pod, "POD_NAMESPACE": "vaultsync-system"})

    assert (found.configuration.host, found.namespace) == ("https://10.0.0.1:443", "vaultsync-system")
    assert (await user_configuration(pod)).namespace == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "There is no kubeconfig"),
        ("", "cannot be read"),
        ("- a list", "cannot be read"),
        ("{unclosed", "cannot be read"),
        ("{current-context: gone, clusters: [], contexts: [], users: []}", "cannot be used"),
    ],
)
async def test_a_file_that_is_no_kubeconfig_is_an_error(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "config").write_text(text)

    with pytest.raises(NoCluster, match=said):
        await user_configuration({"KUBECONFIG": str(tmp_path / "config")})
