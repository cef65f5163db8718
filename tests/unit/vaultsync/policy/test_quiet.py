"""What needs no plan: nothing is due of it, whatever happened, and a poll without news leaves it so."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    READ_AT,
    START,
    Tweak,
    a_state,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_observed,
    some_metadata,
)
from vaultsync.api import REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.plan import plan_for
from vaultsync.policy.quiet import Quiet, quiet
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import PendingVersion, SecretState, Version
from vaultsync.state.vaults import LastRead, Missing, Reads, VaultView

NAME = "db-password"
RECHECK = timedelta(hours=1)


def in_sync(state: SecretState, **spec: Tweak) -> VaultSecret:
    """A VaultSecret whose status reports a state."""
    entry = a_status_entry(version=state.version, updated=state.updated, read_at=state.read_at)
    return a_vault_secret(status=a_status(entry), **spec)


@dataclass
class Scene:
    """A VaultSecret in sync, and what is known of its secret."""

    vault_secret: VaultSecret = field(default_factory=lambda: in_sync(a_state()))
    observed: Observed | None = field(default_factory=an_observed)
    metadata: SecretMetadata | Missing | None = field(default_factory=some_metadata)
    reads: Reads = field(default_factory=Reads)
    now: datetime = READ_AT + timedelta(minutes=1)

    @property
    def view(self) -> VaultView:
        return VaultView({} if self.metadata is None else {NAME: self.metadata}, reads=self.reads)

    def reason(self) -> str | None:
        return plan_for(self.vault_secret, self.observed, self.view, now=self.now, recheck=RECHECK).read_reason

    def quiet(self) -> Quiet | None:
        plan = plan_for(self.vault_secret, self.observed, self.view, now=self.now, recheck=RECHECK)
        return quiet(plan, self.vault_secret, self.observed, self.view, now=self.now, recheck=RECHECK)

    def renewed(self, known: Quiet) -> Quiet | None:
        return known.renewed(self.vault_secret, self.observed, self.view, self.now)

    def observe(self, **changes: object) -> None:
        """A poll observes the secret, a minute after the last one if it has observed it before."""
        before = self.metadata if isinstance(self.metadata, SecretMetadata) else some_metadata()
        later = Moment(before.observed_at.seconds + 60)
        self.metadata = replace(before, observed_at=later, **changes)  # type: ignore[arg-type]  # they are of its fields

    def read(self, seconds: float, *, version: str = "0", settled: bool = True) -> None:
        known = a_state()
        self.reads.put(
            NAME,
            LastRead(
                Moment(seconds), known.version if version == "0" else version, START, None, START, seconds, settled
            ),
        )

    def apply(self, **changes: Tweak) -> None:
        """Another state of the target is observed."""
        known = Applied(fingerprint(self.vault_secret), (a_state(**changes),), owner=self.vault_secret.metadata.uid)
        self.observed = an_observed(applied=replace(known, created=True))
        self.vault_secret = in_sync(a_state(**changes))

    def request(self) -> None:
        annotations = {REFRESH_ANNOTATION: str(self.now)}
        metadata = self.vault_secret.metadata.model_copy(update={"annotations": annotations})
        self.vault_secret = self.vault_secret.model_copy(update={"metadata": metadata})

    def pend(self) -> None:
        following = Version("f" * 32, START, None)
        self.apply(pending=PendingVersion("f" * 32, self.now + timedelta(minutes=5), following, none_active=False))


Happening = Callable[[Scene], None]
HAPPENINGS: list[Happening] = [
    Scene.observe,
    lambda scene: scene.observe(updated=START + timedelta(minutes=1)),
    lambda scene: scene.observe(expires=START + timedelta(days=1)),
    lambda scene: scene.observe(readable=False),
    lambda scene: scene.observe(tags={"team": "shop"}),
    lambda scene: setattr(scene, "metadata", Missing(Moment(600.0))),
    lambda scene: setattr(scene, "metadata", None),
    lambda scene: setattr(scene, "observed", None),
    lambda scene: setattr(scene, "observed", an_observed(ours=frozenset())),
    lambda scene: setattr(scene, "vault_secret", in_sync(a_state(), refresh_interval=timedelta(minutes=3))),
    lambda scene: scene.read(30.0),
    lambda scene: scene.read(90.0),
    lambda scene: scene.read(90.0, version="a" * 32),
    lambda scene: scene.read(90.0, settled=False),
    lambda scene: setattr(scene, "now", scene.now + timedelta(minutes=10)),
    lambda scene: setattr(scene, "now", scene.now + timedelta(hours=2)),
    lambda scene: setattr(scene, "now", scene.now - timedelta(hours=2)),
    Scene.apply,
    lambda scene: scene.apply(read_at=READ_AT + timedelta(minutes=5)),
    Scene.request,
    Scene.pend,
]

happenings = st.lists(st.sampled_from(HAPPENINGS), max_size=5)


@given(happenings, happenings)
def test_nothing_is_due_of_what_is_quiet(
    before: list[Callable[[Scene], None]], after: list[Callable[[Scene], None]]
) -> None:
    scene = Scene()
    for happening in before:
        happening(scene)
    known = scene.quiet()
    for happening in after:
        happening(scene)
        known = None if known is None else scene.renewed(known)

        assert known is None or scene.reason() is None


def test_a_poll_without_news_needs_no_plan() -> None:
    scene = Scene()
    scene.read(30.0)
    known = scene.quiet()
    for _ in range(3):
        assert known is not None
        scene.observe()
        scene.now += timedelta(minutes=1)
        known = scene.renewed(known)

    assert known is not None
    assert known.seen[0].metadata is scene.metadata


def test_what_is_due_or_may_become_due_by_itself_is_not_quiet() -> None:
    for happening in (
        lambda scene: scene.observe(updated=START + timedelta(minutes=1)),
        lambda scene: setattr(scene, "metadata", None),
        lambda scene: scene.read(90.0),
        lambda scene: scene.read(30.0, settled=False),
        Scene.pend,
    ):
        scene = Scene()
        happening(scene)

        assert scene.quiet() is None
