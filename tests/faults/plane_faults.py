"""What can break of a whole control plane; whoever shares it is broken too, so the soak uses none of these."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import yaml

from tests.emulator.client import ROOT
from tests.faults.etcd import Etcd
from tests.faults.fault import Fault
from tests.faults.harness import World

SMALL_QUOTA: Final = {"etcd": {"quota-backend-bytes": 32 << 20}}
"""Flags with which etcd can be filled in a moment."""

_CRD: Final = ROOT / "crds" / "vaultsecrets.yaml"


@contextmanager
def _apiserver_killed(world: World) -> Iterator[None]:
    world.plane.apiserver.stop()
    try:
        yield
    finally:
        world.plane.apiserver.start()


@contextmanager
def _etcd_killed(world: World) -> Iterator[None]:
    world.model.is_delayed = True
    world.plane.etcd.stop()
    try:
        yield
    finally:
        world.plane.etcd.start()


@contextmanager
def _etcd_full(world: World) -> Iterator[None]:
    etcd = Etcd(world.plane)
    etcd.fill()
    try:
        yield
    finally:
        etcd.free()


@contextmanager
def _etcd_restored(world: World) -> Iterator[None]:
    """What is written in the block is lost at its end."""
    etcd, backup = Etcd(world.plane), world.folder / f"{world.namespace}.backup"
    etcd.back_up(backup)
    yield
    world.await_right()
    etcd.restore(backup)
    world.model.is_delayed = world.model.is_restored = True


@contextmanager
def _crd_upgraded(world: World) -> Iterator[None]:
    """The next version of the schema knows one more field; it is rolled back at the end."""
    schema = yaml.safe_load(_CRD.read_text())
    (version,) = schema["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    properties["spec"]["properties"]["ofTheNextVersion"] = {"type": "string"}
    _apply(world, json.dumps(schema))
    try:
        yield
    finally:
        _apply(world, _CRD.read_text())


def _apply(world: World, text: str) -> None:
    world.plane.kubectl("apply", "-f", "-", stdin=text)


def _fault(name: str, block: Callable[[World], AbstractContextManager[None]]) -> Fault:
    return Fault.of(name, "kubernetes", block, soak=False)


FAULTS: Final = (
    _fault("API server killed", _apiserver_killed),
    _fault("etcd killed", _etcd_killed),
    _fault("etcd full", _etcd_full),
    _fault("CRD upgraded", _crd_upgraded),
    _fault("etcd restored from a backup", _etcd_restored),
)
