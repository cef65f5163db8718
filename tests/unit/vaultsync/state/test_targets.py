"""The cache of targets: what is newer, what differs, and that it agrees with the server in the end."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import KEY, UID, Tweak, an_observed, modified, no_limit
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.state.observed import Observed, unclaimed
from vaultsync.state.snapshots import Bookmark, Deleted, Modified, TargetEvent, TargetList
from vaultsync.state.targets import TargetCache

OTHER = ObjectKey("shop", "cache")
ELSEWHERE = ObjectKey("blog", "db")


def at(resource_version: int, **tweaks: Tweak) -> Observed:
    return an_observed(resource_version=str(resource_version), **tweaks)


def listed(resource_version: int, targets: dict[ObjectKey, Observed] | None = None) -> TargetList[Observed]:
    return TargetList(targets or {}, str(resource_version))


def a_cache(resource_version: int = 10, **targets: Observed) -> TargetCache:
    """A cache of the namespace shop that was listed."""
    cache = TargetCache(users=no_limit)
    cache.handle_list(None, listed(resource_version, {ObjectKey("shop", name): one for name, one in targets.items()}))
    return cache


# Lists


def test_nothing_is_known_before_the_first_list() -> None:
    cache = TargetCache(users=no_limit)

    assert (cache.has_synced("shop"), cache.get(KEY), cache.resource_version(None)) == (False, None, None)


def test_a_list_is_stored_and_says_where_the_watch_continues() -> None:
    cache = TargetCache(users=no_limit)

    assert cache.handle_list(None, listed(10, {KEY: at(9)})) == {KEY}
    assert (cache.has_synced("shop"), cache.get(KEY), cache.resource_version(None)) == (True, at(9), "10")


def test_a_second_list_reports_only_what_differs() -> None:
    cache = a_cache(10, db=at(7), cache=at(8), old=at(9))
    changed = at(15, managers=("kubectl-edit",))

    differing = cache.handle_list(None, listed(20, {KEY: at(7), OTHER: changed, ObjectKey("shop", "new"): at(16)}))

    assert differing == {OTHER, ObjectKey("shop", "old"), ObjectKey("shop", "new")}
    assert (cache.get(OTHER), cache.get(ObjectKey("shop", "old"))) == (changed, None)


def test_a_list_that_is_older_than_our_write_does_not_replace_it() -> None:
    cache = a_cache(10, db=at(9))
    cache.record_write(KEY, at(12, managers=("a",)))
    cache.record_write(OTHER, at(13))

    assert cache.handle_list(None, listed(11, {KEY: at(9)})) == set()
    assert (cache.get(KEY), cache.get(OTHER)) == (at(12, managers=("a",)), at(13))


# Watch events


def change(resource_version: int, **tweaks: Tweak) -> TargetEvent:
    return modified(KEY, at(resource_version, **tweaks))


@pytest.mark.parametrize(
    ("event", "is_new", "known"),
    [
        (change(11, managers=("helm",)), True, at(11, managers=("helm",))),
        (change(11), False, at(11)),
        (change(9, managers=("helm",)), False, at(9)),
        (change(8, managers=("helm",)), False, at(9)),
        (Deleted(KEY, "11"), True, None),
        (Deleted(KEY, "8"), False, at(9)),
        (Deleted(OTHER, "11"), False, at(9)),
        (Bookmark("11"), False, at(9)),
    ],
    ids=[
        "a change",
        "a change of nothing that is compared",
        "what is known already",
        "an older change",
        "a deletion",
        "a deletion of a predecessor",
        "a deletion of what is not known",
        "a bookmark",
    ],
)
def test_a_watch_event_is_new_if_it_changes_what_is_known(
    event: TargetEvent, is_new: bool, known: Observed | None
) -> None:
    cache = a_cache(8, db=at(9))

    assert cache.handle_event(None, event) is is_new
    assert cache.get(KEY) == known
    assert cache.resource_version(None) == event.resource_version


def test_our_own_write_is_not_new_when_the_watch_delivers_it() -> None:
    cache = a_cache(10, db=at(9))
    written = at(12, managers=("a",))
    cache.record_write(KEY, written)

    assert not cache.handle_event(None, modified(KEY, written))
    assert cache.get(KEY) == written


def test_our_own_write_is_not_read_again() -> None:
    cache = a_cache(10, db=at(9))
    cache.record_write(KEY, at(12))

    def read() -> Observed:
        raise AssertionError

    assert not cache.handle_event(None, Modified(KEY, "12", read))


def test_a_change_before_our_write_is_not_new() -> None:
    cache = a_cache(10, db=at(9))
    cache.record_write(KEY, at(12))

    assert not cache.handle_event(None, change(11, managers=("helm",)))
    assert cache.get(KEY) == at(12)


def test_a_change_after_our_write_is_new_and_our_write_does_not_replace_it() -> None:
    cache = a_cache(10, db=at(9))
    changed = at(13, managers=("helm",))

    assert cache.handle_event(None, modified(KEY, changed))
    cache.record_write(KEY, at(12))

    assert cache.get(KEY) == changed


def test_our_write_does_not_restore_a_target_that_was_deleted_after_it() -> None:
    cache = a_cache(10, db=at(9))
    cache.handle_event(None, Deleted(KEY, "13"))

    cache.record_write(KEY, at(12))

    assert cache.get(KEY) is None


# Scopes


def test_each_namespace_is_listed_and_expires_by_itself() -> None:
    cache = TargetCache(("shop", "blog"), users=no_limit)
    assert set(cache.scopes) == {"shop", "blog"}

    cache.handle_list("shop", listed(10, {KEY: at(9)}))
    assert (cache.resource_version("shop"), cache.resource_version("blog")) == ("10", None)
    assert (cache.has_synced("shop"), cache.has_synced("blog"), cache.has_synced("elsewhere")) == (True, False, False)

    cache.handle_list("blog", listed(20, {ELSEWHERE: at(19)}))
    assert (cache.resource_version("shop"), cache.resource_version("blog")) == ("10", "20")

    cache.expire("shop")
    assert (cache.resource_version("shop"), cache.resource_version("blog")) == (None, "20")
    assert cache.has_synced("shop"), "what was known is still known"


def test_what_was_known_before_a_scope_expired_is_still_known() -> None:
    cache = a_cache(10, db=at(9))

    cache.expire(None)

    assert cache.get(KEY) == at(9)
    assert cache.handle_list(None, listed(20)) == {KEY}


@pytest.mark.parametrize("namespaces", [(), ("shop", "blog")], ids=["in one watch", "each by itself"])
def test_targets_are_returned_by_namespace_or_all(namespaces: tuple[str, ...]) -> None:
    cache = TargetCache(namespaces, users=no_limit)
    for scope in cache.scopes:
        there = {key: at(9) for key in (KEY, OTHER, ELSEWHERE) if scope in {None, key.namespace}}
        cache.handle_list(scope, listed(10, there))

    assert cache.within(None).keys() == {KEY, OTHER, ELSEWHERE}
    assert cache.within("blog") == {ELSEWHERE: at(9)}
    assert cache.within("nowhere") == {}


def test_a_write_to_a_namespace_that_is_not_watched_is_not_stored() -> None:
    cache = TargetCache(("shop",), users=no_limit)

    cache.record_write(ELSEWHERE, at(9))

    assert (cache.get(ELSEWHERE), cache.within(None)) == (None, {})


# By owner


def test_targets_are_found_by_the_owner_in_their_label() -> None:
    cache = a_cache(10, db=at(8), cache=at(9, owner_uid="another"), free=at(7, owner_uid=None))

    assert list(cache.owned_by(UID)) == [KEY]
    assert list(cache.owned_by("another")) == [OTHER]

    cache.handle_event(None, change(11, owner_uid="another"))
    assert (list(cache.owned_by(UID)), set(cache.owned_by("another"))) == ([], {KEY, OTHER})

    cache.handle_event(None, Deleted(OTHER, "12"))
    assert list(cache.owned_by("another")) == [KEY]


# In the end


@dataclass
class Server:
    """An API server whose events reach the cache late, and whose answers to our writes may be recorded late."""

    cache: TargetCache = field(default_factory=lambda: TargetCache(users=no_limit))
    resource_version: int = 1
    targets: dict[ObjectKey, Observed] = field(default_factory=dict)
    undelivered: list[TargetEvent] = field(default_factory=list)
    unrecorded: list[tuple[ObjectKey, Observed]] = field(default_factory=list)

    def edit(self, key: ObjectKey) -> Observed:
        self.resource_version += 1
        observed = at(self.resource_version, managers=(str(self.resource_version),), owner_uid=key.name)
        self.targets[key] = observed
        self.undelivered.append(modified(key, observed))
        return observed

    def write(self, key: ObjectKey) -> None:
        self.unrecorded.append((key, self.edit(key)))

    def delete(self, key: ObjectKey) -> None:
        if self.targets.pop(key, None) is not None:
            self.resource_version += 1
            self.undelivered.append(Deleted(key, str(self.resource_version)))

    def record(self, _: ObjectKey) -> None:
        if self.unrecorded:
            self.cache.record_write(*self.unrecorded.pop(0))

    def deliver(self, _: ObjectKey) -> None:
        if self.cache.resource_version(None) is None:
            self.list()
        elif self.undelivered:
            self.cache.handle_event(None, self.undelivered.pop(0))

    def list(self) -> None:
        self.cache.handle_list(None, TargetList(dict(self.targets), str(self.resource_version)))
        self.undelivered.clear()

    def expire(self, _: ObjectKey) -> None:
        self.cache.expire(None)


STEPS: list[Callable[[Server, ObjectKey], object]] = [
    Server.edit,
    Server.write,
    Server.delete,
    Server.record,
    Server.deliver,
    Server.deliver,
    Server.expire,
]


@pytest.mark.slow
@settings(max_examples=300)
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from([KEY, OTHER])), max_size=25))
def test_the_cache_agrees_with_the_server_once_everything_was_delivered(
    steps: list[tuple[Callable[[Server, ObjectKey], object], ObjectKey]],
) -> None:
    server = Server()
    server.list()

    for step, key in steps:
        step(server, key)
    while server.unrecorded:
        server.record(KEY)
    while server.undelivered or server.cache.resource_version(None) is None:
        server.deliver(KEY)

    assert server.cache.within(None) == server.targets
    for key in (KEY, OTHER):
        assert list(server.cache.owned_by(key.name)) == [one for one in (key,) if one in server.targets]


def test_an_own_write_that_is_older_than_what_was_seen_is_not_stored_even_after_the_scope_expired() -> None:
    cache = a_cache(10, db=at(12))
    cache.expire(None)

    cache.record_write(KEY, at(11))

    assert cache.get(KEY) == at(12)


# Secrets of nobody


def nobody(_: ObjectKey) -> tuple[VaultSecret, ...]:
    return ()


def test_of_a_secret_that_is_no_target_hardly_anything_is_known() -> None:
    cache = TargetCache(users=nobody)

    cache.handle_event(None, change(11))

    assert cache.get(KEY) is None
    assert cache.within(None) == {KEY: unclaimed(at(11))}


@pytest.mark.parametrize("read", [pytest.param(at(9), id="the same"), pytest.param(at(12), id="newer")])
def test_a_secret_that_became_a_target_is_known_once_it_was_read_unless_it_has_changed(read: Observed) -> None:
    users: list[VaultSecret] = []
    cache = TargetCache(users=lambda _: users)
    cache.handle_event(None, change(9))
    users += no_limit(KEY)

    cache.claim(KEY, read)

    assert cache.get(KEY) == (read if read == at(9) else None)


def test_a_target_whose_fields_are_forgotten_is_known_again_once_it_was_read() -> None:
    cache = a_cache(10, db=at(9))

    cache.forget_fields(KEY)
    assert (cache.get(KEY), cache.within(None)) == (None, {KEY: unclaimed(at(9))})

    cache.claim(KEY, at(9))
    assert cache.get(KEY) == at(9)


def test_a_target_that_is_outdated_stays_so_when_its_fields_are_forgotten() -> None:
    cache = a_cache(10, db=at(9))
    cache.invalidate(KEY)

    cache.forget_fields(KEY)
    cache.claim(KEY, at(9))

    assert (cache.get(KEY), cache.is_outdated(KEY)) == (None, True)


def test_only_secrets_that_were_written_for_a_vaultsecret_are_owned_by_it() -> None:
    cache = TargetCache(users=nobody)
    copy = at(8, ours=frozenset())

    cache.handle_list(None, listed(10, {KEY: at(9), OTHER: copy}))

    assert cache.owned_by(UID) == [KEY]
