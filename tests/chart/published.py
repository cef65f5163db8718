"""`python3 -m tests.chart.published URL VERSION CHARTS IMAGE`: tells a chart what is known where it is published.

The repository does not know its own address: its README installs from a checkout, and its links are relative. In the
package both name what is published at that version. Chart.yaml gets the addresses, and what Artifact Hub shows:
https://artifacthub.io/docs/topics/annotations/helm/. Needs no package besides Python's own.
"""

import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Final

from tests.release import ROOT, ReleaseError, notes

CHART: Final = Path("charts/vaultsync")

_LINK: Final = re.compile(r"(?<=\]\()(?!https?://|#)([^)\s]+)(?=\))")
_FROM_A_CHECKOUT: Final = (
    (" From a checkout:", ""),
    (
        "helm install vaultsync charts/vaultsync --namespace",
        "helm install vaultsync {chart} --version {version} --namespace",
    ),
    ("  --set image.repository=registry.example.com/vaultsync \\\n", ""),
    (
        "The image is built from the `Dockerfile`: `docker build -t registry.example.com/vaultsync:{version} .`",
        "The image is `{image}`.",
    ),
)
"""What the README says about an installation, and what it says in the package."""

_KINDS: Final = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def publish(url: str, version: str, charts: str, image: str, root: Path = ROOT) -> None:
    """Change README and Chart.yaml for the package.

    Args:
        url: The repository at its code host, such as `https://github.com/owner/name`.
        version: Of the release; its tag is that after a `v`.
        charts: Where charts are, in the registry.
        image: The image of the release, as it is pulled.
        root: The checkout.

    Raises:
        ReleaseError: The README does not say what it is to say differently.
    """
    readme, about = root / CHART / "README.md", root / CHART / "Chart.yaml"
    text = absolute_links(readme.read_text(), f"{url}/blob/v{version}")
    words = {"chart": f"oci://{charts}/vaultsync", "version": version, "image": image}
    for before, after in ((each.format(**words) for each in pair) for pair in _FROM_A_CHECKOUT):
        if text.count(before) != 1:
            raise ReleaseError(f"{readme} does not say once: {before}")
        text = text.replace(before, after)
    readme.write_text(text)
    facts = {"home": url, "sources": [url], "icon": f"{url}/raw/v{version}/docs/icon.svg"}
    annotations = {
        "artifacthub.io/changes": changes(notes(version, root)),
        "artifacthub.io/images": [{"name": "vaultsync", "image": image, "platforms": ["linux/amd64", "linux/arm64"]}],
        "artifacthub.io/links": [
            {"name": name, "url": f"{url}/blob/v{version}/{path}"}
            for name, path in (
                ("Guide", "docs/guide.md"),
                ("Operations", "docs/operations.md"),
                ("Security", "docs/security.md"),
                ("Changelog", "CHANGELOG.md"),
            )
        ],
    }
    # JSON is YAML, too. Annotations are texts, and the last field of the file.
    fields = "".join(f"{name}: {json.dumps(value)}\n" for name, value in facts.items())
    texts = "".join(f"  {name}: {json.dumps(json.dumps(value))}\n" for name, value in annotations.items())
    about.write_text(about.read_text().replace("\nannotations:\n", f"\n{fields}annotations:\n{texts}"))


def absolute_links(readme: str, base: str) -> str:
    """The README of the chart with links that work elsewhere: relative ones are below `base`."""
    return _LINK.sub(lambda link: f"{base}/{posixpath.normpath(posixpath.join(CHART.as_posix(), link[1]))}", readme)


def changes(changelog: str) -> list[dict[str, str]]:
    """The first sentence of each item of a section of the changelog, as Artifact Hub lists changes."""
    listed = []
    for part in re.split(r"^### ", changelog, flags=re.MULTILINE):
        kind, _, items = part.partition("\n")
        if kind.strip() in _KINDS:
            texts = (" ".join(item.split()) for item in re.split(r"^- ", items, flags=re.MULTILINE)[1:])
            listed += [{"kind": kind.strip().lower(), "description": _first_sentence(text)} for text in texts]
    return listed


def _first_sentence(text: str) -> str:
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", plain, maxsplit=1)[0]


if __name__ == "__main__":
    publish(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
