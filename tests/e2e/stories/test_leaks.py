"""No value, and nothing computed from one, is anywhere but in the data of Secrets, whatever has happened."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import MARK, Scene, entry
from tests.e2e.together import Stories, story
from vaultsync.api import API_VERSION, PLURAL


@story
def test_a_value_in_trouble_is_not_repeated(scene: Scene) -> None:
    """It is refused by the decoder, by the API server, by its size: each of them knows what it refuses."""
    scene.put()
    scene.vault.set("large", scene.value() + "x" * 25_000)

    scene.apply(entry(encoding="Base64"), name="undecodable")
    scene.apply(entry(".dockerconfigjson"), name="refused", target={"type": "kubernetes.io/dockerconfigjson"})
    scene.apply(*(entry(f"key-{number}", "large") for number in range(50)), name="large")

    for name, reason in {
        "undecodable": "EncodingInvalid",
        "refused": "TargetInvalid",
        "large": "TargetTooLarge",
    }.items():
        message = scene.await_reason(reason, name).message
        assert MARK not in message
        scene.await_told(name, **{reason: 1})


def test_no_value_is_anywhere_but_in_the_data_of_secrets(
    stories: Stories, operator: RunningOperator, api: KubernetesApi
) -> None:
    stories.await_all()
    values = [value for scene in stories.scenes for value in scene.values]

    everywhere = {
        "log": operator.log.read_text(),
        "metrics": operator.says("/metrics").text,
        "events": json.dumps(api.list("/api/v1/events")),
        "VaultSecrets": json.dumps(api.list(f"/apis/{API_VERSION}/{PLURAL}")),
        "Secrets but for their data": json.dumps(
            [{**secret, "data": None} for secret in api.list("/api/v1/secrets")],
        ),
    }

    assert values, "the stories put values into vaults"
    assert {place: found for place, text in everywhere.items() if (found := set(findings(text, values)))} == {}


def findings(text: str, values: Iterable[str]) -> Iterator[str]:
    """Every trace of the values in a text, by what it is."""
    if MARK in text:
        yield "a value"
    for shift in range(3):
        # The first and last letters of base64 depend on what stands before and behind.
        if base64.b64encode(bytes(shift) + MARK.encode())[4:-4].decode() in text:
            yield "a value in base64"
    for value in values:
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(algorithm, value.encode())
            if digest.hexdigest()[:12] in text or base64.b64encode(digest.digest())[:12].decode() in text:
                yield f"a value's {algorithm}"


@pytest.mark.parametrize(
    "trace",
    [
        lambda value: f"password={value};",
        lambda value: base64.b64encode(f"x{value}".encode()).decode(),
        lambda value: base64.b64encode(f"xy{value}".encode()).decode(),
        lambda value: hashlib.sha256(value.encode()).hexdigest(),
        lambda value: base64.b64encode(hashlib.md5(value.encode(), usedforsecurity=False).digest()).decode(),
    ],
    ids=["as it is", "in base64", "in base64, shifted", "its digest", "its digest in base64"],
)
def test_the_search_would_find_it(trace: Callable[[str], str]) -> None:
    value = f"{MARK}-1"

    assert set(findings(trace(value), [value])) != set()
    assert set(findings(trace("harmless"), [value])) == set()
