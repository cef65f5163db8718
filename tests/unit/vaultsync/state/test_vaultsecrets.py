"""The cache of VaultSecrets, compared with a plain dictionary; and the statuses that we wrote."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ACCESS, FIRST, KEY, UID, VAULT, a_granted, a_status, a_vault_secret, an_access, an_entry
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import Entry, VaultSecret, VaultSecretMeta, VaultSecretStatus
from vaultsync.state.requests import searches
from vaultsync.state.vaultsecrets import UnreadableVaultSecret, VaultSecretCache, followed_names

VAULTS = (VAULT, "https://other.vault.azure.net")
NAMES = ("one", "two", "three")

ENTRIES = st.lists(
    st.tuples(st.sampled_from(["a", "A", "b"]), st.sampled_from([None, None, FIRST])),
    min_size=1,
    max_size=3,
).map(lambda pairs: [an_entry(key=f"k{i}", secret_name=name, version=pin) for i, (name, pin) in enumerate(pairs)])

VAULT_SECRETS = st.builds(
    lambda name, target, vault, suspend, interval, entries, finds: a_vault_secret(
        *entries,
        metadata={"name": name, "uid": f"uid-{name}"},
        target={"name": target},
        vault_url=vault,
        suspend=suspend,
        refresh_interval=timedelta(seconds=interval),
        data_from=[{"find": {"names": "*"}}] if finds else [],
    ),
    st.sampled_from(NAMES),
    st.sampled_from([None, "one", "two"]),
    st.sampled_from(VAULTS),
    st.booleans(),
    st.sampled_from([10, 20, 30]),
    ENTRIES,
    st.booleans(),
)


def meta_of(vault_secret: VaultSecret) -> VaultSecretMeta:
    """The same object without its spec."""
    return VaultSecretMeta(metadata=vault_secret.metadata, status=vault_secret.status)


def an_unreadable(vault_secret: VaultSecret | None = None) -> UnreadableVaultSecret:
    """A VaultSecret whose spec is not accepted."""
    return UnreadableVaultSecret(meta_of(vault_secret or a_vault_secret()), "spec.data: must not be empty")


UNREADABLE = st.sampled_from(NAMES).map(
    lambda name: an_unreadable(a_vault_secret(metadata={"name": name, "uid": f"uid-{name}"}))
)
DELETED = st.sampled_from(NAMES)


def assert_agrees(
    vaultsecrets: VaultSecretCache,
    known: Mapping[ObjectKey, VaultSecret],
    unreadable: Mapping[ObjectKey, UnreadableVaultSecret],
) -> None:
    """Assert that every lookup returns what a search of all VaultSecrets returns."""
    active = [one for one in known.values() if not one.spec.suspend]
    assert len(vaultsecrets) == len(known)
    assert {one.key for one in vaultsecrets.all()} == known.keys()
    assert {one.key for one in vaultsecrets.metas()} == known.keys() | unreadable.keys()
    assert set(vaultsecrets.accesses()) == {an_access(one.spec.vault_url) for one in active}
    for name in NAMES:
        key = ObjectKey(KEY.namespace, name)
        assert vaultsecrets.get(key) == known.get(key)
        assert vaultsecrets.unreadable(key) == unreadable.get(key)
        assert vaultsecrets.find(key) == (known.get(key) or unreadable.get(key))
        assert vaultsecrets.has_uid(f"uid-{name}") == (key in known)
        assert set(vaultsecrets.keys_for_target(key)) == {one.key for one in known.values() if one.target_key == key}
        assert vaultsecrets.granted(key) == (a_granted(known[key].spec.vault_url) if key in known else None)
    for vault in map(an_access, VAULTS):
        users = [one for one in active if one.spec.vault_url == vault.vault_url]
        assert set(vaultsecrets.users(vault)) == {one.key for one in users}
        assert set(vaultsecrets.searchers(vault)) == {one.key for one in users if searches(one.spec)}
        assert vaultsecrets.refresh_interval(vault) == min((one.spec.refresh_interval for one in users), default=None)
        assert {name: set(keys) for name, keys in vaultsecrets.names(vault).items()} == {
            name: {one.key for one in users if name in followed_names(one)}
            for one in users
            for name in followed_names(one)
        }


@given(steps=st.lists(VAULT_SECRETS | UNREADABLE | DELETED, max_size=12))
def test_every_index_follows_what_is_put_and_deleted(steps: list[VaultSecret | UnreadableVaultSecret | str]) -> None:
    vaultsecrets = VaultSecretCache()
    known, unreadable = dict[ObjectKey, VaultSecret](), dict[ObjectKey, UnreadableVaultSecret]()

    for step in steps:
        key = ObjectKey(KEY.namespace, step) if isinstance(step, str) else step.key
        known.pop(key, None)
        unreadable.pop(key, None)
        if isinstance(step, VaultSecret):
            vaultsecrets.put(step, a_granted(step.spec.vault_url))
            known[key] = step
        elif isinstance(step, UnreadableVaultSecret):
            vaultsecrets.put_unreadable(step)
            unreadable[key] = step
        else:
            vaultsecrets.delete(key)
        assert_agrees(vaultsecrets, known, unreadable)


def test_all_others_that_want_the_same_target_compete() -> None:
    vaultsecrets = VaultSecretCache()
    mine = a_vault_secret()
    other = a_vault_secret(metadata={"name": "other", "uid": "o"}, target={"name": mine.target_key.name})
    suspended = a_vault_secret(metadata={"name": "suspended", "uid": "s"}, target={"name": "db"}, suspend=True)
    elsewhere = a_vault_secret(metadata={"namespace": "elsewhere", "uid": "e"})
    for vault_secret in (mine, other, suspended, elsewhere):
        vaultsecrets.put(vault_secret, a_granted())

    assert {one.key.name for one in vaultsecrets.competing(mine)} == {"other", "suspended"}


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([an_entry(secret_name="DB-Password")], {"db-password"}),
        ([an_entry(version=FIRST)], set()),
        ([an_entry(version=FIRST), an_entry(key="other")], {"db-password"}),
        ([an_entry(), an_entry(key="other", secret_name="DB-PASSWORD")], {"db-password"}),
        ([an_entry(previous_key="old")], {"db-password"}),
    ],
    ids=["in lower case", "not pinned", "pinned and not pinned", "in different letters", "not the previous version"],
)
def test_secrets_whose_newest_version_is_named_are_followed(entries: list[Entry], names: set[str]) -> None:
    assert followed_names(a_vault_secret(*entries)) == names


def test_a_vaultsecret_that_stops_searching_needs_no_listing_any_more() -> None:
    vaultsecrets = VaultSecretCache()
    vaultsecrets.put(a_vault_secret(metadata={"name": "other", "uid": "o"}), a_granted())
    vaultsecrets.put(a_vault_secret(data_from=[{"find": {"names": "*"}}]), a_granted())
    assert set(vaultsecrets.searchers(ACCESS)) == {KEY}

    vaultsecrets.put(a_vault_secret(), a_granted())

    assert set(vaultsecrets.searchers(ACCESS)) == set()


# VaultSecrets that cannot be read


def test_an_unreadable_vaultsecret_is_found_and_claims_nothing() -> None:
    vaultsecrets = VaultSecretCache()

    vaultsecrets.put(a_vault_secret(), a_granted())
    vaultsecrets.put_unreadable(an_unreadable())

    assert vaultsecrets.find(KEY) == an_unreadable()
    assert (vaultsecrets.get(KEY), vaultsecrets.has_uid(UID), vaultsecrets.keys_for_target(KEY)) == (None, False, ())
    assert (len(vaultsecrets), list(vaultsecrets.accesses())) == (0, [])


def test_an_unreadable_vaultsecret_that_was_deleted_is_forgotten() -> None:
    vaultsecrets = VaultSecretCache()
    vaultsecrets.put_unreadable(an_unreadable())

    vaultsecrets.delete(KEY)

    assert (vaultsecrets.find(KEY), vaultsecrets.unreadable(KEY), vaultsecrets.metas()) == (None, None, ())


def test_a_corrected_vaultsecret_is_not_unreadable_any_more() -> None:
    vaultsecrets = VaultSecretCache()
    vaultsecrets.put_unreadable(an_unreadable())

    vaultsecrets.put(a_vault_secret(), a_granted())

    assert (vaultsecrets.find(KEY), vaultsecrets.unreadable(KEY)) == (a_vault_secret(), None)


# Statuses that we wrote


REPORTED = a_status(reason="InvalidSpec")


def stored(
    resource_version: int, *, generation: int = 1, uid: str = UID, status: VaultSecretStatus | None = None
) -> VaultSecret:
    """The VaultSecret as the API server had it at that resource version."""
    return a_vault_secret(
        metadata={"resource_version": str(resource_version), "generation": generation, "uid": uid}, status=status
    )


KINDS = pytest.mark.parametrize("unreadable", [False, True], ids=["readable", "unreadable"])


def a_cache(vault_secret: VaultSecret, *, unreadable: bool) -> VaultSecretCache:
    """A cache that has observed one VaultSecret."""
    vaultsecrets = VaultSecretCache()
    if unreadable:
        vaultsecrets.put_unreadable(an_unreadable(vault_secret))
    else:
        vaultsecrets.put(vault_secret, a_granted())
    return vaultsecrets


def known_of(vaultsecrets: VaultSecretCache) -> tuple[str, VaultSecretStatus]:
    """The resource version and the status that the cache has."""
    (meta,) = vaultsecrets.metas()
    return meta.metadata.resource_version, meta.status


@KINDS
def test_a_status_that_we_wrote_is_known_at_once(unreadable: bool) -> None:
    vaultsecrets = a_cache(stored(7), unreadable=unreadable)

    vaultsecrets.record_status(meta_of(stored(8, status=REPORTED)))

    assert known_of(vaultsecrets) == ("8", REPORTED)


@KINDS
def test_a_change_by_a_user_before_our_status_write_still_counts_as_new_when_it_is_observed(unreadable: bool) -> None:
    vaultsecrets = a_cache(stored(7), unreadable=unreadable)

    # Version 8 is the user's change, which was not observed yet.
    vaultsecrets.record_status(meta_of(stored(9, generation=2, status=REPORTED)))

    assert known_of(vaultsecrets)[0] == "7"


def test_a_copied_label_that_changed_before_our_status_write_still_counts_as_new_when_it_is_observed() -> None:
    def labelled(version: int, team: str) -> VaultSecret:
        metadata = {"resource_version": str(version), "labels": {"team": team}}
        return a_vault_secret(metadata=metadata, target={"copy_labels": ["team"]})

    vaultsecrets = a_cache(labelled(7, "a"), unreadable=False)

    vaultsecrets.record_status(meta_of(labelled(9, "b").model_copy(update={"status": REPORTED})))

    assert known_of(vaultsecrets) == ("7", REPORTED)
    vaultsecrets.put(labelled(8, "b"), a_granted())
    assert known_of(vaultsecrets) == ("8", REPORTED)


def test_a_status_is_kept_when_the_watch_delivers_an_older_change_of_the_spec() -> None:
    vaultsecrets = a_cache(stored(7), unreadable=False)
    vaultsecrets.record_status(meta_of(stored(9, generation=2, status=REPORTED)))
    assert known_of(vaultsecrets) == ("7", REPORTED)

    vaultsecrets.put(stored(8, generation=2), a_granted())
    assert known_of(vaultsecrets) == ("8", REPORTED)

    vaultsecrets.put(stored(10, generation=2), a_granted())
    assert known_of(vaultsecrets) == ("10", VaultSecretStatus())


@KINDS
def test_a_status_of_a_predecessor_of_the_same_name_is_not_stored(unreadable: bool) -> None:
    vaultsecrets = a_cache(stored(7, uid="successor"), unreadable=unreadable)

    vaultsecrets.record_status(meta_of(stored(8, status=REPORTED)))

    assert known_of(vaultsecrets) == ("7", VaultSecretStatus())


def test_a_status_is_not_kept_for_a_successor_of_the_same_name() -> None:
    vaultsecrets = a_cache(stored(7), unreadable=False)
    vaultsecrets.record_status(meta_of(stored(9, generation=2, status=REPORTED)))

    vaultsecrets.put(stored(8, uid="successor"), a_granted())

    assert known_of(vaultsecrets) == ("8", VaultSecretStatus())


def test_a_status_of_a_deleted_vaultsecret_is_not_stored() -> None:
    vaultsecrets = VaultSecretCache()

    vaultsecrets.record_status(meta_of(stored(8, status=REPORTED)))

    assert vaultsecrets.find(KEY) is None


# Resync


def test_a_resync_can_be_requested() -> None:
    vaultsecrets = VaultSecretCache()
    assert (vaultsecrets.has_synced, vaultsecrets.resync_requested.is_set()) == (False, False)

    vaultsecrets.request_resync()

    assert vaultsecrets.resync_requested.is_set()
