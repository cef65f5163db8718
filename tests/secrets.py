"""Kubernetes Secrets as people write them, with texts for values."""

import base64
from collections.abc import Mapping
from typing import Any

from vaultsync.api import ObjectKey


def a_secret(key: ObjectKey, data: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a Secret, whatever its type."""
    metadata = {"name": key.name, "namespace": key.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded(data)}


def encoded(data: Mapping[str, str | None]) -> dict[str, str | None]:
    """Values as manifests hold them; None, which removes a key, stays None."""
    return {name: None if value is None else base64.b64encode(value.encode()).decode() for name, value in data.items()}


def decoded(data: Mapping[str, str]) -> dict[str, str]:
    """Values as pods read them."""
    return {name: base64.b64decode(value).decode() for name, value in data.items()}
