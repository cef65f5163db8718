"""Writes the go.mod and go.sum that pin a version of Kubernetes; builds nothing.

k8s.io/kubernetes replaces its staging repositories by folders of its own tree, which a dependent module does not
inherit: their published tags stand in for them.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.controlplane.build import MODULES, BuildFailed, kubernetes_modules
from tests.controlplane.golang import find_go

_TOOLS_SINCE: Final = "1.24.0"
"""The first version of Go that knows the directive `tool`."""

_GO_MOD: Final = """\
// Pins the Kubernetes {minor} that tests run: `python -m tests.controlplane pin {version}` writes this file.
module vaultsync.dev/controlplane/kubernetes

go {go}

godebug {debug}

replace (
{replaced}
)

tool (
{etcd}	k8s.io/kubernetes/cmd/kube-apiserver
	k8s.io/kubernetes/cmd/kube-controller-manager
	k8s.io/kubernetes/cmd/kubectl
)

require k8s.io/kubernetes v{version}
"""


def release(text: str) -> str:
    """A version such as 1.36.3.

    Raises:
        ValueError: The text is none.
    """
    if not re.fullmatch(r"1\.\d+\.\d+", text):
        raise ValueError(text)
    return text


def pin(version: str, environ: Mapping[str, str]) -> Path:
    """Pin a version such as 1.36.3 for its minor version; the folder of the pin.

    Raises:
        GoMissing: There is no Go compiler.
        BuildFailed: There is no such version, or its modules cannot be fetched.
    """
    minor = version.rpartition(".")[0]
    folder = MODULES / kubernetes_modules().get(minor, f"kubernetes-{minor}")
    # Its own settings, so that it behaves as the released program: https://go.dev/doc/godebug
    upstream = Path(json.loads(_go(environ, "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"))["GoMod"])
    folder.mkdir(exist_ok=True)
    (folder / "go.sum").unlink(missing_ok=True)
    # All versions run with the etcd of the default one.
    etcd = "\tgo.etcd.io/etcd/server/v3\n" if folder.name == "kubernetes" else ""
    (folder / "go.mod").write_text(_go_mod(upstream.read_text(), minor, version, etcd))
    _go(environ, "mod", "tidy", folder=folder)
    return folder


def _go_mod(upstream: str, minor: str, version: str, etcd: str) -> str:
    (go,) = re.findall(r"^go (\S+)$", upstream, re.MULTILINE)
    debug = re.search(r"^godebug (default=\S+)$", upstream, re.MULTILINE)
    staged = sorted(re.findall(r"^\t(k8s\.io/\S+) => \./staging/", upstream, re.MULTILINE))
    tag = f"v0.{version.removeprefix('1.')}"
    return _GO_MOD.format(
        minor=minor,
        version=version,
        etcd=etcd,
        go=max(go, _TOOLS_SINCE, key=lambda text: [int(number) for number in text.split(".")]),
        debug=debug[1] if debug else f"default=go{'.'.join(go.split('.')[:2])}",
        replaced="\n".join(f"\t{module} => {module} {tag}" for module in staged),
    )


def _go(environ: Mapping[str, str], *arguments: str, folder: Path | None = None) -> str:
    command = [str(find_go(_TOOLS_SINCE, environ)), *arguments]
    settings = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(command, cwd=folder, env={**environ, **settings}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout
