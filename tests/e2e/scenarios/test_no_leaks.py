"""No value, and no digest of one, is anywhere but in the data of Secrets, after all scenarios."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.e2e.concurrency import ScenarioRunner, scenario
from tests.e2e.harness import MARK, Harness, entry
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from vaultsync.api import API_VERSION, PLURAL


@scenario
def test_a_value_that_is_refused_is_not_repeated(harness: Harness) -> None:
    """One value is refused by the decoder, one by the API server, one for its size: each of them knows the value."""
    harness.put()
    harness.vault.set("large", harness.value() + "x" * 25_000)

    harness.apply(entry(encoding="Base64"), name="undecodable")
    harness.apply(entry(".dockerconfigjson"), name="refused", target={"type": "kubernetes.io/dockerconfigjson"})
    harness.apply(*(entry(f"key-{number}", "large") for number in range(50)), name="large")

    for name, reason in {
        "undecodable": "EncodingInvalid",
        "refused": "TargetInvalid",
        "large": "TargetTooLarge",
    }.items():
        assert MARK not in harness.await_reason(reason, name=name).message
        harness.await_event_counts(name, **{reason: 1})
        assert harness.secret(name) is None


def test_values_are_nowhere_but_in_the_data_of_secrets(
    runner: ScenarioRunner, operator: RunningOperator, api: KubernetesApi
) -> None:
    runner.await_all()
    values = [value for harness in runner.harnesses for value in harness.values]

    everywhere = {
        "log": operator.log.read_text(),
        "metrics": operator.get("/metrics").text,
        "events": json.dumps(api.list("/api/v1/events")),
        "VaultSecrets": json.dumps(api.list(f"/apis/{API_VERSION}/{PLURAL}")),
        "Secrets without their data": json.dumps(
            [{**secret, "data": None} for secret in api.list("/api/v1/secrets")],
        ),
    }

    assert values, "the scenarios put values into vaults"
    assert {place: found for place, text in everywhere.items() if (found := set(findings(text, values)))} == {}


def findings(text: str, values: Iterable[str]) -> Iterator[str]:
    """The traces of the values in a text, each by its kind."""
    if MARK in text:
        yield "a value"
    for shift in range(3):
        # The first and last characters of base64 depend on what precedes and follows.
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
