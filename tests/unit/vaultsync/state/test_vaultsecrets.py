"""The inventory, checked against a plain dictionary that looks everything up the long way."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import KEY, VAULT, a_vault_secret, an_entry
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import Entry, VaultSecret
from vaultsync.state.vaultsecrets import VaultSecretCache, followed_names

VAULTS = (VAULT, "https://other.vault.azure.net")
PINNED = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"

ENTRIES = st.lists(
    st.builds(
        lambda name, version: (name, version),
        st.sampled_from(["a", "A", "b"]),
        st.sampled_from([None, None, PINNED]),
    ),
    min_size=1,
    max_size=3,
).map(lambda pairs: [an_entry(key=f"k{i}", secret_name=name, version=pin) for i, (name, pin) in enumerate(pairs)])

VAULT_SECRETS = st.builds(
    lambda name, target, vault, suspend, interval, entries: a_vault_secret(
        *entries,
        metadata={"name": name, "uid": f"uid-{name}"},
        target={"name": target},
        vault_url=vault,
        suspend=suspend,
        refresh_interval=timedelta(seconds=interval),
    ),
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from([None, "one", "two"]),
    st.sampled_from(VAULTS),
    st.booleans(),
    st.sampled_from([10, 20, 30]),
    ENTRIES,
)


def agrees(vaultsecrets: VaultSecretCache, known: Mapping[ObjectKey, VaultSecret]) -> None:
    """Assert that every look-up gives what a walk through all VaultSecrets gives."""
    active = [one for one in known.values() if not one.spec.suspend]
    assert len(vaultsecrets) == len(known)
    assert {one.key for one in vaultsecrets.all()} == known.keys()
    assert set(vaultsecrets.vaults()) == {one.spec.vault_url for one in active}
    for name in ("one", "two", "three"):
        key = ObjectKey(KEY.namespace, name)
        assert vaultsecrets.get(key) == known.get(key)
        assert vaultsecrets.has_uid(f"uid-{name}") == (key in known)
        assert set(vaultsecrets.keys_for_target(key)) == {one.key for one in known.values() if one.target_key == key}
        assert vaultsecrets.vault_of(key) == (known[key].spec.vault_url if key in known else "")
    for vault in VAULTS:
        users = [one for one in active if one.spec.vault_url == vault]
        assert set(vaultsecrets.users(vault)) == {one.key for one in users}
        assert vaultsecrets.refresh_interval(vault) == min((one.spec.refresh_interval for one in users), default=None)
        assert {name: set(keys) for name, keys in vaultsecrets.names(vault).items()} == {
            name: {one.key for one in users if name in followed_names(one)}
            for one in users
            for name in followed_names(one)
        }


@given(steps=st.lists(VAULT_SECRETS | st.sampled_from(["one", "two", "three"]), max_size=12))
def test_every_index_follows_what_is_put_and_dropped(steps: list[VaultSecret | str]) -> None:
    vaultsecrets, known = VaultSecretCache(), dict[ObjectKey, VaultSecret]()

    for step in steps:
        if isinstance(step, VaultSecret):
            vaultsecrets.put(step)
            known[step.key] = step
        else:
            vaultsecrets.drop(ObjectKey(KEY.namespace, step))
            known.pop(ObjectKey(KEY.namespace, step), None)
        agrees(vaultsecrets, known)


def test_rivals_are_all_others_who_want_the_same_target() -> None:
    vaultsecrets = VaultSecretCache()
    mine = a_vault_secret()
    rival = a_vault_secret(metadata={"name": "rival", "uid": "rival"}, target={"name": mine.target_key.name})
    suspended = a_vault_secret(metadata={"name": "sleeper", "uid": "s"}, target={"name": "db"}, suspend=True)
    elsewhere = a_vault_secret(metadata={"namespace": "elsewhere", "uid": "e"})
    for vault_secret in (mine, rival, suspended, elsewhere):
        vaultsecrets.put(vault_secret)

    assert {one.key.name for one in vaultsecrets.competing(mine)} == {"rival", "sleeper"}


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([an_entry(secret_name="DB-Password")], {"db-password"}),
        ([an_entry(version=PINNED)], set()),
        ([an_entry(version=PINNED), an_entry(key="other")], {"db-password"}),
        ([an_entry(), an_entry(key="other", secret_name="DB-PASSWORD")], {"db-password"}),
    ],
    ids=["lower case", "pinned versions do not count", "pinned and not", "the same in other letters"],
)
def test_names_whose_newest_version_is_wanted(entries: list[Entry], names: set[str]) -> None:
    assert followed_names(a_vault_secret(*entries)) == names


def test_what_cannot_be_read_has_been_heard_of_too() -> None:
    vaultsecrets = VaultSecretCache()
    mine = a_vault_secret()
    assert not vaultsecrets.knows(mine.key)

    vaultsecrets.refuse(mine.key)
    assert (vaultsecrets.knows(mine.key), vaultsecrets.get(mine.key)) == (True, None)

    vaultsecrets.put(mine)
    vaultsecrets.drop(mine.key)
    assert not vaultsecrets.knows(mine.key)
