"""Renders the labels and annotations of `target.metadataFrom` from tags, dates and versions; it is given no value.

Whoever may write the vault chooses the tags: whatever they hold, they become texts that Kubernetes accepts, of bounded
length, and do not keep the Secret from being synced.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from vaultsync.api.fields import format_timestamp
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.render.template import render_texts
from vaultsync.state.secrets import SecretState
from vaultsync.texts import one_line

MAX_ANNOTATION: Final = 256
"""In bytes, of one annotation: as much as a tag may have."""

MAX_LABEL: Final = 63
"""In characters: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set"""

_NOT_IN_LABELS: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class RenderedMetadata:
    """The labels and annotations that come from the vault."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    notes: tuple[str, ...] = ()
    """Why some of them are empty, in sentences."""

    @property
    def fingerprint(self) -> str | None:
        """A hash of all of them, 16 hexadecimal digits; None if there are none."""
        if not self.labels and not self.annotations:
            return None
        parts = [dict(self.labels), dict(self.annotations)]
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def render_metadata(vault_secret: VaultSecret, secrets: Iterable[SecretState]) -> RenderedMetadata:
    """Render the labels and annotations that come from the vault.

    Raises:
        SyncError: TemplateInvalid for a template that is wrong by itself, with the label or annotation, line, column.
    """
    target = vault_secret.spec.target
    templates = {("label", name): source for name, source in target.labels_from.items()}
    templates |= {("annotation", name): source for name, source in target.annotations_from.items()}
    if not templates:
        return RenderedMetadata({}, {})
    texts, notes = render_texts(
        {f"of {kind} {name}": source for (kind, name), source in templates.items()},
        _names(vault_secret, secrets),
    )
    rendered = dict(zip(templates, texts.values(), strict=True))
    return RenderedMetadata(
        {name: label_value(text) for (kind, name), text in rendered.items() if kind == "label"},
        {name: one_line(text, MAX_ANNOTATION) for (kind, name), text in rendered.items() if kind == "annotation"},
        notes,
    )


def label_value(text: str) -> str:
    """Return a text as the value of a label: what a label may not contain becomes a hyphen, the rest is cut."""
    return _NOT_IN_LABELS.sub("-", text.strip()).strip("-._")[:MAX_LABEL].rstrip("-._")


class _Tags(dict[str, str]):
    """The tags of a secret; one that does not exist is an empty text, since others may remove it at any time."""

    def __missing__(self, name: str) -> str:
        return ""


class _Secrets(dict[str, Mapping[str, object]]):
    """Secrets by their names, whose case the vault ignores; one that a search could find may be missing."""

    def __init__(self, facts: Mapping[str, Mapping[str, object]], *, searches: bool) -> None:
        super().__init__(facts)
        self._searches = searches

    def __getitem__(self, name: object) -> Mapping[str, object]:
        known = self.get(name.lower()) if isinstance(name, str) else None
        if known is None and not self._searches:
            raise KeyError(name)
        return _facts(None) if known is None else known


def _names(vault_secret: VaultSecret, secrets: Iterable[SecretState]) -> dict[str, object]:
    spec, key = vault_secret.spec, vault_secret.key
    # Of a secret that is also pinned, the newest version comes last, and counts.
    states = sorted((one for one in secrets if not one.ref.previous), key=lambda one: one.ref.follows)
    host = urlsplit(spec.vault_url).hostname or ""
    return {
        "secrets": _Secrets(
            {state.ref.name.lower(): _facts(state) for state in states},
            searches=any(source.find is not None for source in spec.data_from),
        ),
        "vault": {"name": host.partition(".")[0], "url": spec.vault_url},
        "vaultsecret": {"name": key.name, "namespace": key.namespace},
    }


def _facts(state: SecretState | None) -> Mapping[str, object]:
    if state is None:
        return {"name": "", "version": "", "updated": "", "expires": "", "tags": _Tags()}
    return {
        "name": state.ref.name,
        "version": state.version or "",
        "updated": _date(state.updated),
        "expires": _date(state.expires),
        # Half of a pair of surrogates is no text that could be written.
        "tags": _Tags({name: text.encode(errors="replace").decode() for name, text in state.tags.items()}),
    }


def _date(moment: datetime | None) -> str:
    return "" if moment is None else format_timestamp(moment)
