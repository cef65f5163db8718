"""Renders a VaultSecret and the values read for it into the manifest of its Secret; writes nothing to the cluster."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from vaultsync.api import APPLIED_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.drift import owner_references, target_labels
from vaultsync.render.data_rules import KEY_TYPES, by_rule
from vaultsync.render.entries import NO_CERTIFICATES, Certificates, RenderedEntries, render_entries, secret_states
from vaultsync.render.metadata import RenderedMetadata, render_metadata
from vaultsync.render.passwords import NO_HASHES, Hashes, PasswordRequest, Passwords, SourceVersion
from vaultsync.render.pem import CERTIFICATE_MARKS
from vaultsync.render.template import render, uses_passwords
from vaultsync.state.applied import MAX_ANNOTATIONS, content_fingerprint, to_annotation
from vaultsync.state.desired import Desired
from vaultsync.state.secrets import Readings, SecretState
from vaultsync.state.vaults import VaultView

MAX_BYTES = 1024 * 1024
"""The limit of Kubernetes for the values of one Secret: https://kubernetes.io/docs/concepts/configuration/secret/"""


def render_secret(
    vault_secret: VaultSecret,
    readings: Readings,
    view: VaultView,
    certificates: Certificates = NO_CERTIFICATES,
    hashes: Hashes = NO_HASHES,
    *,
    created: bool = True,
    spec_content: str | None = None,
) -> Desired:
    """Render the Secret; equal inputs produce equal manifests.

    Data that are keys are not checked yet: see `key_data`.

    Args:
        vault_secret: The VaultSecret.
        readings: What was read, in the order of the spec, results of searches included.
        view: The vault's listing, for searches.
        certificates: What the `certificate_requests` became.
        hashes: What the `password_requests` became.
        created: Whether the Secret is created, or was created by us.
        spec_content: The fingerprint of the spec by which keys that are kept were filled, if it was another one.

    Raises:
        SyncError: As `render_entries`, `render` and `render_metadata` do; TargetInvalid, if the data is unusable for
            the Secret's type; TargetTooLarge, if it exceeds the limits of Kubernetes.
    """
    spec, target = vault_secret.spec, vault_secret.target_key
    rendered = render_entries(spec, readings, view, certificates)
    secrets = secret_states(rendered, readings)
    passwords = _passwords(vault_secret, rendered, secrets, hashes)
    data = rendered.data | _templates(spec, rendered, passwords)
    if passwords.missing:
        raise SyncError(Reason.TEMPLATE_INVALID, "A template applies htpasswd to the result of another htpasswd.")
    if spec.target.type not in KEY_TYPES:
        data = by_rule(spec.target.type, data, target=str(target))
    metadata = render_metadata(vault_secret, secrets)
    spec_content = spec_content or content_fingerprint(vault_secret)
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": spec.target.type,
        "metadata": _metadata(vault_secret, secrets, metadata, created=created, spec_content=spec_content),
        "data": _encoded(target, data),
        # Applying `immutable: false` would own the field, and no other manager could set it.
        **({"immutable": True} if spec.target.immutable else {}),
    }
    return Desired(
        secrets,
        manifest,
        created=created,
        metadata=metadata.fingerprint,
        notes=metadata.notes,
        spec_content=spec_content,
    )


def password_requests(
    vault_secret: VaultSecret, readings: Readings, view: VaultView, certificates: Certificates = NO_CERTIFICATES
) -> tuple[PasswordRequest, ...]:
    """Return the passwords that must be hashed for the templates.

    Raises:
        SyncError: As `render_entries` and `render` do.
    """
    spec = vault_secret.spec
    if not uses_passwords(spec.target.template):
        return ()
    rendered = render_entries(spec, readings, view, certificates)
    passwords = _passwords(vault_secret, rendered, secret_states(rendered, readings), NO_HASHES)
    _templates(spec, rendered, passwords)
    return tuple(passwords.missing)


def _passwords(
    vault_secret: VaultSecret, rendered: RenderedEntries, secrets: Iterable[SecretState], hashes: Hashes
) -> Passwords:
    versions = {key: state.version for state in secrets for key in state.keys}
    sources = [SourceVersion(versions.get(key) or "", content) for key, content in rendered.data.items()]
    return Passwords(vault_secret.metadata.uid, sources, hashes)


def key_data(desired: Desired) -> dict[str, bytes]:
    """Return the data if it is keys, which another process must still normalize; most Secrets have none."""
    if desired.manifest["type"] not in KEY_TYPES:
        return {}
    return {key: base64.b64decode(text) for key, text in desired.manifest["data"].items()}


def certificate_data(desired: Desired) -> dict[str, bytes]:
    """Return the contents that secrets fill and that hold certificates; most Secrets have none."""
    filled = {key for state in desired.secrets for key in state.keys}
    contents = {key: base64.b64decode(text) for key, text in desired.manifest["data"].items() if key in filled}
    return {key: content for key, content in contents.items() if any(mark in content for mark in CERTIFICATE_MARKS)}


def with_expiries(desired: Desired, expiries: Mapping[str, datetime]) -> Desired:
    """Return the desired state with when the certificates in it expire, by key."""
    secrets = tuple(
        replace(state, certificates={key: expiries[key] for key in state.keys if key in expiries})
        for state in desired.secrets
    )
    return replace(desired, secrets=secrets)


def with_data(desired: Desired, target: ObjectKey, data: Mapping[str, bytes]) -> Desired:
    """Return the desired state with the normalized data.

    Raises:
        SyncError: TargetTooLarge.
    """
    return replace(desired, manifest={**desired.manifest, "data": _encoded(target, data)})


def _encoded(target: ObjectKey, data: Mapping[str, bytes]) -> dict[str, str]:
    size = sum(map(len, data.values()))
    if size > MAX_BYTES:
        raise _too_large(target, f"its values have {size} bytes; Kubernetes allows {MAX_BYTES}")
    return {key: base64.b64encode(content).decode("ascii") for key, content in sorted(data.items())}


def _templates(spec: VaultSecretSpec, rendered: RenderedEntries, passwords: Passwords) -> dict[str, bytes]:
    for key in spec.target.template:
        if key in rendered.data:
            raise SyncError(
                Reason.INVALID_SPEC,
                f"Key {key} is filled twice: from secret {rendered.sources[key].name} of vault {spec.vault_url} and "
                "by target.template; use another key for one of them.",
            )
    return render(spec.target.template, rendered.data, passwords)


def _too_large(target: ObjectKey, why: str) -> SyncError:
    return SyncError(
        Reason.TARGET_TOO_LARGE, f"Secret {target} would be too large: {why}. Split it over several VaultSecrets."
    )


def _metadata(
    vault_secret: VaultSecret,
    secrets: tuple[SecretState, ...],
    from_vault: RenderedMetadata,
    *,
    created: bool,
    spec_content: str,
) -> dict[str, Any]:
    target = vault_secret.target_key
    applied = to_annotation(
        vault_secret, secrets, created=created, metadata=from_vault.fingerprint, spec_content=spec_content
    )
    own = vault_secret.spec.target.annotations
    annotations = {**own, **from_vault.annotations, APPLIED_ANNOTATION: applied}
    size = sum(len(name) + len(text.encode()) for name, text in annotations.items())
    if size > MAX_ANNOTATIONS:
        raise _too_large(
            target, f"the names of its keys and its annotations have {size} bytes; Kubernetes allows {MAX_ANNOTATIONS}"
        )
    return {
        "name": target.name,
        "namespace": target.namespace,
        "labels": {**from_vault.labels, **target_labels(vault_secret)},
        "annotations": annotations,
        "ownerReferences": owner_references(vault_secret, created=created),
    }
