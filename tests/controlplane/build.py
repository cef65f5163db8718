"""Builds the programs that tests and demo start, from source, once per user and version; starts none of them.

Their versions stand in `tools/*/go.mod` alone. A built program is kept under `$XDG_CACHE_HOME/vaultsync`, in a folder
named by the content of its go.mod, go.sum and own source, if it has some, so a new version is a new folder and an old
checkout keeps its own. `CONTROLPLANE_KUBERNETES=1.30` chooses `tools/kubernetes-1.30` instead of `tools/kubernetes`.
"""

import hashlib
import re
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TextIO

from tests.controlplane.golang import find_go
from tests.controlplane.locks import locked
from tests.controlplane.progress import Progress

MODULES: Final = Path(__file__).parent / "tools"
"""The folders of go.mod files."""

_FLAGS: Final = ("-trimpath", "-buildvcs=false")
_SELDOM_RUN: Final = ("k8s.io/api/...", "k8s.io/client-go/...", "k8s.io/kubernetes/...")
_QUICKLY: Final = (
    "-gcflags=all=-dwarf=false",
    *(f"-gcflags={packages}=-dwarf=false -l" for packages in _SELDOM_RUN),
)
"""How the control plane is compiled, which users of the demo wait for: without tables for debuggers, and large packages
that are seldom run without inlining. That halves the time."""

_COLLECT_LATE: Final = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
"""The compiler frees no memory until it uses 512 MiB: a quarter less to compute."""

_LOG_LINES_SHOWN: Final = 20
_KUBERNETES: Final = "kubernetes"
"""The folder of the default version; those of others add a minor version to this name."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: the folder of its go.mod, and its Go package; `tags` choose among what its source offers."""

    name: str
    module: str
    package: str
    tags: str = ""


API_SERVER: Final = (
    Tool("etcd", "kubernetes", "go.etcd.io/etcd/server/v3"),
    Tool("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Tool("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
)
"""What the demo needs: the same three programs that setup-envtest installs."""

TOOLS: Final = (
    *API_SERVER,
    Tool("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Tool("helm", "helm", "helm.sh/helm/v3/cmd/helm"),
)
"""The control plane and its clients."""

# Without the clouds' service discoveries, which no test needs, half as much is compiled.
_NO_CLOUDS: Final = "remove_all_sd"

MONITORING: Final = (
    Tool("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool", _NO_CLOUDS),
    Tool("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", _NO_CLOUDS),
)
"""The programs that read metrics and rules."""

ACTIONLINT: Final = (Tool("actionlint", "actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),)
"""The program that checks workflows."""

FLUX: Final = (Tool("flux-health", "flux", "."),)
"""Flux's health checks: a few lines of ours around its libraries."""

READERS: Final = (Tool("readers", "readers", "."),)
"""What reads Secrets: a few lines of ours around Go's libraries and the kubelet's package."""


class BuildFailed(Exception):
    """A program could not be built; the message ends with the compiler's last lines."""


def kubernetes_modules() -> dict[str, str]:
    """The folder in `tools` of each minor version of Kubernetes that can be built; the first one is the default."""
    folders = (MODULES / "kubernetes", *sorted(MODULES.glob("kubernetes-*")))
    return {".".join(_kubernetes_version((folder / "go.mod").read_text())[:2]): folder.name for folder in folders}


def ensure_tools(environ: Mapping[str, str], out: TextIO, tools: tuple[Tool, ...] = TOOLS) -> dict[str, Path]:
    """Where each program is, after building those that are missing; progress goes to `out`.

    Programs in the folder `KUBEBUILDER_ASSETS` are used from there, Kubernetes' own only if no version is asked for.

    Raises:
        GoMissing: Something must be built and there is no Go compiler.
        BuildFailed: The compiler refused, or could not fetch a module; or no go.mod pins the version asked for.
    """
    tools = tuple(_of_version(tool, environ.get("CONTROLPLANE_KUBERNETES")) for tool in tools)
    places = {tool.name: _place(tool, environ) for tool in tools}
    if all(place.exists() for place in places.values()):
        return places
    progress = Progress(out)
    cache = _cache(environ)
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock", lambda: progress.say("Another build is running: waiting for it.")):
        missing = [tool for tool in tools if not places[tool.name].exists()]
        for number, tool in enumerate(missing, start=1):
            title = f"building programs for tests and demo (once), {number} of {len(missing)}: {tool.name}"
            _build(tool, places[tool.name], environ, progress, title)
    return places


def _is_kubernetes(tool: Tool) -> bool:
    return tool.package.startswith("k8s.io/kubernetes/")


def _of_version(tool: Tool, kubernetes: str | None) -> Tool:
    if not _is_kubernetes(tool) or not kubernetes:
        return tool
    modules = kubernetes_modules()
    if kubernetes not in modules:
        raise BuildFailed(f"Kubernetes {kubernetes} is not pinned in {MODULES}: choose one of {', '.join(modules)}.")
    return replace(tool, module=modules[kubernetes])


def is_built(tool: Tool, environ: Mapping[str, str]) -> bool:
    """Whether it is there already, in the cache or in the folder `KUBEBUILDER_ASSETS`."""
    return _place(tool, environ).exists()


def version_of(tool: Tool) -> str:
    """The version that its go.mod names: `v1.36.3`."""
    owner = tool.package.split("/cmd/")[0]
    return _required(rf"^\s*{re.escape(owner)} (v\S+)", (MODULES / tool.module / "go.mod").read_text())


def _place(tool: Tool, environ: Mapping[str, str]) -> Path:
    asked_for = _is_kubernetes(tool) and environ.get("CONTROLPLANE_KUBERNETES")
    if (assets := environ.get("KUBEBUILDER_ASSETS")) and not asked_for:
        given = Path(assets) / tool.name
        if given.exists():
            return given
    return _cache(environ) / f"{tool.module}-{_key(tool)}" / tool.name


def _cache(environ: Mapping[str, str]) -> Path:
    root = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Path(root) / "vaultsync" / "controlplane"


def _key(tool: Tool) -> str:
    digest = hashlib.sha256(f"{sysconfig.get_platform()} {_compiler_flags(tool)}{tool.tags}".encode())
    module = MODULES / tool.module
    for path in (module / "go.mod", module / "go.sum", *sorted(module.glob("*.go"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _build(tool: Tool, place: Path, environ: Mapping[str, str], progress: Progress, title: str) -> None:
    module = MODULES / tool.module
    go = find_go(_required(r"^go (\S+)$", (module / "go.mod").read_text()), environ)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial, listed, log = (place.with_suffix(suffix) for suffix in (".partial", ".packages", ".log"))
    # GOWORK: a workspace file above this checkout must not change what is built.
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", **_COLLECT_LATE}

    def run(arguments: Sequence[str], output: Path, doing: Callable[[], str]) -> None:
        with output.open("w") as written, log.open("w") as words:
            process = subprocess.Popen(
                [str(go), *arguments],
                cwd=module,
                env={**environ, **settings},
                stdout=written,
                stderr=words,
                start_new_session=True,
            )
        if progress.wait(process, title, doing) != 0:
            partial.unlink(missing_ok=True)
            raise BuildFailed(_complaint(tool, log))

    def downloaded() -> str:
        return f"{_lines(log)} modules downloaded"

    run(["list", "-deps", "-tags", tool.tags, tool.package], listed, downloaded)
    total = _lines(listed)

    def compiled() -> str:
        return f"{_lines(log)} of at most {total} packages compiled"

    run(["build", "-v", *_flags(tool), "-o", str(partial), tool.package], listed, compiled)
    for scratch in (listed, log):
        scratch.unlink()
    partial.rename(place)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _flags(tool: Tool) -> tuple[str, ...]:
    return (*_compiler_flags(tool), "-tags", tool.tags, "-ldflags", _linker_flags(tool))


def _compiler_flags(tool: Tool) -> tuple[str, ...]:
    return (*_FLAGS, *_QUICKLY) if tool.module == _KUBERNETES else _FLAGS


def _linker_flags(tool: Tool) -> str:
    if not _is_kubernetes(tool):
        return "-s -w"
    # Kubernetes' own build stamps its version in; without it the API server says v0.0.0-master.
    major, minor, patch = _kubernetes_version((MODULES / tool.module / "go.mod").read_text())
    stamps = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={text}" for name, text in stamps.items())])


def _kubernetes_version(go_mod: str) -> list[str]:
    return _required(r"^\s*k8s\.io/kubernetes v(\d+\.\d+\.\d+)", go_mod).split(".")


def _required(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"go.mod has no line like {pattern}"
    return found[1]


def _complaint(tool: Tool, log: Path) -> str:
    tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
    return (
        f"{tool.name} could not be built. It needs a Go module proxy, 5 GB of disk for Go's cache and 3 GB of memory; "
        f"what was built so far is kept, so running it again goes on from here. The compiler's log is {log}:\n  {tail}"
    )
