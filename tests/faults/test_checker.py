"""The checker notices each kind of bad write, and passes what is allowed; without a cluster."""

import base64
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.harness import MARK, entry
from tests.faults.checker import (
    BY_USER,
    DELETED_BY_USER,
    FOREIGN,
    INVARIANTS,
    Checker,
    Group,
    Model,
    history_of,
    never_deleted,
    never_empty,
    never_foreign,
    never_mistaken,
    never_mixed,
    never_older,
    never_partial,
    never_shown,
    shows_a_value,
    value_text,
)
from tests.faults.journal import Object, Place, Write
from tests.manifests import manifest

NAMESPACE = "shop"
TARGET = Place.secret(NAMESPACE, "db")
VAULT_SECRET = Place.vault_secret(NAMESPACE, "db")
SECRETS = ("db-0", "db-1")


def data(*generations: int) -> dict[str, str]:
    """The data of a target whose keys have these generations."""
    texts = {secret: value_text(secret, number, "x") for secret, number in zip(SECRETS, generations, strict=False)}
    return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def secret(content: Mapping[str, str], **annotations: str) -> Object:
    return {"metadata": {"name": "db", "annotations": annotations}, "data": dict(content)}


def marked(annotation: str, content: Mapping[str, str]) -> Object:
    return secret(content, **{annotation: "true"})


class History:
    """Writes, one per second, after a vault was rotated twice: at 0 s and at 100 s."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.model = Model({"db": Group(SECRETS, [0.0, 100.0])}, lists=lambda: [50.0, 110.0, 120.0])

    def add(self, place: Place, state: Object | None, *, at: float = 0.0, restored: bool = False) -> "History":
        number = len(self.writes) + 1
        self.writes.append(Write(place, number, at or float(number), state, restored))
        return self

    def want(self, **spec: object) -> "History":
        """A VaultSecret that wants both keys."""
        fields = {"data": [entry(name, name) for name in SECRETS], **spec}
        return self.add(VAULT_SECRET, manifest(fields, name="db", namespace=NAMESPACE))

    def write(self, content: Mapping[str, str], *, at: float = 0.0, restored: bool = False) -> "History":
        """The operator writes the target."""
        return self.add(TARGET, secret(content), at=at, restored=restored)

    def broken(self) -> list[str]:
        checker = Checker(self.writes, self.model)
        return [violation.invariant for violation in checker.check()]


def synced() -> History:
    return History().want().write(data(1, 1))


BAD: Mapping[str, tuple[Callable[..., str | None], History]] = {
    "no data": (never_empty, synced().write({})),
    "no data at first": (never_empty, History().want().write({})),
    "a key is missing": (never_partial, synced().write(data(1))),
    "a key is missing at first": (never_partial, History().want().write(data(1))),
    "a key too many": (never_partial, synced().write({**data(1, 1), "more": data(1)["db-0"]})),
    "a released target lost a key": (never_partial, synced().add(VAULT_SECRET, None).write(data(1))),
    "a key that was never in the vault": (never_mistaken, synced().write(data(3, 3))),
    "a text that was never in the vault": (never_mistaken, synced().write({**data(1), "db-1": "bm8="})),
    "the value of another secret": (never_mistaken, synced().write({**data(1), "db-1": data(1)["db-0"]})),
    "two generations": (never_mixed, synced().write(data(1, 2), at=130.0)),
    "an older generation": (never_older, synced().write(data(2, 2)).write(data(1, 1))),
    "an older generation after a deletion": (
        never_older,
        synced().write(data(2, 2)).add(TARGET, marked(DELETED_BY_USER, data(2, 2))).add(TARGET, None).write(data(1, 1)),
    ),
    "a deletion": (never_deleted, synced().add(TARGET, None)),
    "a deletion though a secret is left": (
        never_deleted,
        History().want(onSourceDeleted="Delete").write(data(1, 1)).add(TARGET, None),
    ),
    "a changed foreign Secret": (
        never_foreign,
        History().add(TARGET, marked(FOREIGN, {"a": "YQ=="})).add(TARGET, marked(FOREIGN, {"a": "Yg=="})),
    ),
    "a Secret that is not marked as foreign any more": (
        never_foreign,
        History().add(TARGET, marked(FOREIGN, {"a": "YQ=="})).add(TARGET, secret({"a": "YQ=="})),
    ),
    "a deleted foreign Secret": (
        never_foreign,
        History().add(TARGET, marked(FOREIGN, {"a": "YQ=="})).add(TARGET, None),
    ),
    "a value in an annotation": (never_shown, synced().add(TARGET, secret(data(1, 1), note=f"is {MARK}"))),
    "a value in an event": (never_shown, History().add(Place("events", NAMESPACE, "db.1"), {"message": MARK})),
    "a value in a status": (
        never_shown,
        History().add(VAULT_SECRET, {**manifest({}, name="db"), "status": {"m": data(1)["db-0"]}}),
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_write_is_noticed(bad: str) -> None:
    invariant, history = BAD[bad]

    assert invariant.__name__ in history.broken()


def test_there_is_a_bad_write_for_each_invariant() -> None:
    assert {invariant for invariant, _ in BAD.values()} == set(INVARIANTS)


GOOD: Mapping[str, History] = {
    "a rotation": synced().write(data(2, 2)),
    "a mixture that the vault showed": synced().write(data(1, 2), at=115.0).write(data(2, 2)),
    "a user empties a target, which is mended": synced().add(TARGET, marked(BY_USER, {})).write(data(1, 1)),
    "a user takes a key away": synced().add(TARGET, marked(BY_USER, data(1))),
    "a user deletes a target": synced().add(TARGET, marked(DELETED_BY_USER, data(1, 1))).add(TARGET, None),
    "a target goes with its VaultSecret": synced().add(VAULT_SECRET, None).add(TARGET, None),
    "an immutable target is replaced": (
        History().want(target={"replaceImmutable": True}).write(data(1, 1)).add(TARGET, None).write(data(2, 2))
    ),
    "a user changes a foreign Secret": (
        History()
        .add(TARGET, secret({"a": "YQ=="}, **{FOREIGN: "true"}))
        .add(TARGET, secret({"a": "Yg=="}, **{FOREIGN: "true", BY_USER: "1"}))
    ),
    "a restored etcd is older": synced().write(data(2, 2)).write(data(1, 1), restored=True).write(data(2, 2)),
    "a spec asks for fewer keys": synced().want(data=[entry("db-0", "db-0")]).write(data(1)),
}


@pytest.mark.parametrize("good", GOOD)
def test_a_good_write_passes(good: str) -> None:
    assert GOOD[good].broken() == []


def test_replicas_that_lag_may_show_a_mixture_for_longer() -> None:
    history = synced().write(data(1, 2), at=130.0)
    history.model.lagged_until = 125.0

    assert history.broken() == []


def test_a_key_may_go_when_its_secret_was_deleted_in_the_vault() -> None:
    history = synced().write(data(1))
    history.model.deleted.add("db-1")

    assert history.broken() == []


def test_a_target_may_go_with_its_last_secret() -> None:
    history = History().want(onSourceDeleted="Delete").write(data(1, 1)).add(TARGET, None)
    history.model.deleted.update(SECRETS)

    assert history.broken() == []


def test_the_history_of_an_object_has_its_writes_and_no_value() -> None:
    text = history_of(synced().write(data(1, 2)).write({"db-0": "c2VjcmV0"}).writes, TARGET)

    assert "db-1@2" in text
    assert not shows_a_value(text)
    assert "c2VjcmV0" not in text


@given(before=st.binary(max_size=5), after=st.binary(min_size=3, max_size=5))
def test_a_value_in_base64_is_found_at_any_offset(before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + value_text("db-0", 1, "x").encode() + after).decode()

    assert shows_a_value(f"data: {text}")
