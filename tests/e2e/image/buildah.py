"""Builds the image with buildah, and runs programs in it as Kubernetes would; judges nothing.

No container engine is needed, but root, the Debian packages buildah and debootstrap, and util-linux.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.image.debian import MACHINES_OWN, PYTHON_PACKAGES, SUITE, make

SERVICE_ACCOUNT: Final = "run/secrets/kubernetes.io/serviceaccount"
_BASE: Final = f"localhost/vaultsync-base-{SUITE}"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# It ends in an exec, so that the program itself is the first process of its container.
_ENTER: Final = """
set -e
root=$1 given=$2 hosts=$3 user=$4
shift 4
mount --bind "$root" "$root"
mount --bind "$given" "$root/run/secrets/kubernetes.io/serviceaccount"
mount --bind "$hosts" "$root/etc/hosts"
mount --rbind /dev "$root/dev"
mount --types proc proc "$root/proc"
mount --options remount,bind,ro "$root"
exec chroot --userspec="$user" "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Pod:
    """The files that Kubernetes mounts into a pod: the folder of its ServiceAccount, and /etc/hosts."""

    service_account: Path
    hosts: Path


class Image:
    """A built image, unpacked into a folder."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        self.root: Final = root
        self.entry_point: Final[list[str]] = config["Entrypoint"]
        self.user: Final[str] = config["User"]
        self.environ: Final[dict[str, str]] = dict(variable.split("=", 1) for variable in config["Env"])

    @property
    def own(self) -> Path:
        """What the image has beside its base."""
        return self.root / "opt" / "vaultsync"

    def within(self, pod: Pod) -> Sequence[str | Path]:
        """The command prefix that runs a program in the image, as its user and with a read-only root.

        It is the first process of a PID namespace of its own, and shares this machine's network. What stands before
        it stays outside: a signal is to be sent to its child, and its end ends everything within.
        """
        (self.root / SERVICE_ACCOUNT).mkdir(parents=True, exist_ok=True)
        (self.root / "etc" / "hosts").touch()
        alone = ("/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child")
        enter = (*alone, "/bin/sh", "-c", _ENTER, "enter")
        return (*enter, self.root, pod.service_account, pod.hosts, self.user)


def megabytes(path: Path) -> int:
    """The size of a file or a folder on the disk, in megabytes."""
    return int(subprocess.run(["du", "-sm", path], capture_output=True, check=True).stdout.split()[0])


@contextmanager
def built(folder: Path, target: str | None = None) -> Iterator[Image]:
    """An image of this checkout while the block lasts, on a Debian that is made here once and kept.

    `target` names the stage of the Dockerfile, by default the last one, which is the operator.
    """
    if not _buildah("images", "--quiet", "--filter", f"reference={_BASE}"):
        _keep_debian(folder)
    volumes = [f"--volume={path}:{path}:ro" for path in MACHINES_OWN]
    image = folder / "image"
    stage = [f"--target={target}"] if target else []
    _buildah(
        "bud", "--isolation=chroot", f"--build-arg=BASE={_BASE}", *volumes, *stage, f"--iidfile={image}", ".", show=True
    )  # fmt: skip
    container = _buildah("from", image.read_text())
    try:
        inspected = json.loads(_buildah("inspect", "--type=image", image.read_text()))
        yield Image(Path(_buildah("mount", container)), inspected["OCIv1"]["config"])
    finally:
        _buildah("rm", container)
        _buildah("rmi", image.read_text())


def _keep_debian(folder: Path) -> None:
    make(folder / "debian", PYTHON_PACKAGES)
    container = _buildah("from", "scratch")
    _buildah("add", container, str(folder / "debian"), "/")
    _buildah("config", f"--env=PATH={_PATH}", container)
    _buildah("commit", "--rm", container, _BASE)


def _buildah(*arguments: str, show: bool = False) -> str:
    root = Path(__file__).parents[3]
    environ = {**os.environ, "STORAGE_DRIVER": "vfs"}  # noqa: TID251 - proxies and places of caches are the caller's
    done = subprocess.run(
        ["buildah", *arguments], cwd=root, env=environ, stdout=sys.stderr if show else subprocess.PIPE, check=True
    )
    return "" if show else done.stdout.decode().strip()
