"""Admission webhooks of a real API server that fail."""

from typing import Any


def broken_webhook_of(namespace: str, name: str) -> dict[str, Any]:
    """The configuration of a webhook that is called for each new Secret of a namespace, and is not there."""
    group = "admissionregistration.k8s.io"
    created = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
    webhook = {
        "name": "broken.example.com",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [created],
        "sideEffects": "None",
        "timeoutSeconds": 5,
    }
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
