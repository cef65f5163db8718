"""Secrets that kubectl applied are adopted on a real API server, and nothing keeps what they held."""

import asyncio
import json

import pytest

from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import RealHarness
from vaultsync.api import ADOPT_BY_ANNOTATION

pytestmark = pytest.mark.cluster


def manifest(harness: RealHarness, value: str) -> str:
    """The manifest of a Secret that consents to its adoption."""
    metadata = {"name": "db", "namespace": harness.namespace, "annotations": {ADOPT_BY_ANNOTATION: "db"}}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": value}})


@pytest.mark.parametrize("how", [("apply",), ("create", "--save-config")])
async def test_no_annotation_keeps_what_an_adopted_secret_held(
    how: tuple[str, ...], harness: RealHarness, controlplane: ControlPlane
) -> None:
    await asyncio.to_thread(controlplane.kubectl, *how, "-f", "-", stdin=manifest(harness, "former-password"))
    harness.apply(target={"adopt": True})

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert "former-password" not in await stored(harness, controlplane)
    harness.reset_counts()
    await harness.poll()
    assert not [path for path in harness.writes if "/secrets/" in path]


async def test_no_annotation_keeps_what_a_user_applied_to_a_target(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    harness.apply()
    await harness.drain()
    await asyncio.to_thread(controlplane.kubectl, "apply", "-f", "-", stdin=manifest(harness, "guessed-password"))

    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert "guessed-password" not in await stored(harness, controlplane)


async def stored(harness: RealHarness, controlplane: ControlPlane) -> str:
    """The whole Secret, with whatever keeps its former state."""
    get = ("get", "secret", "db", "-n", harness.namespace, "-o", "json", "--show-managed-fields")
    return await asyncio.to_thread(controlplane.kubectl, *get)
