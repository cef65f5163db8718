"""When the brake of a vault goes on, and what takes it off again."""

import pytest

from tests.builders import NOW_MISSING, a_sighting
from vaultsync.sources.brake import Brake
from vaultsync.state.vaults import LossReport, Missing, SecretMetadata, VaultView

LOST = frozenset(f"lost-{number}" for number in range(10))
KEPT = frozenset(f"kept-{number}" for number in range(5))
SOME = frozenset(sorted(LOST)[:4])


def view(*, back: frozenset[str] = frozenset()) -> VaultView:
    """What polls see: all that was kept, and what is back."""
    there: dict[str, SecretMetadata | Missing] = {name: a_sighting(name=name) for name in KEPT | back}
    return VaultView({**dict.fromkeys(LOST, NOW_MISSING), **there})


@pytest.fixture
def brake() -> Brake:
    """A brake that is on."""
    brake = Brake()
    assert brake.reckon(LOST | KEPT, LOST, view()).tripped
    return brake


def test_a_little_loss_does_not_put_it_on() -> None:
    assert Brake().reckon(SOME, SOME, view()) == LossReport(4, 4, latched=False)


def test_it_stays_on_for_the_others_when_some_are_released_suspended_or_deleted(brake: Brake) -> None:
    assert brake.reckon(SOME, SOME, view()).tripped


def test_it_goes_off_when_most_of_what_was_gone_is_back(brake: Brake) -> None:
    assert not brake.reckon(SOME, SOME, view(back=LOST - SOME)).tripped


def test_it_goes_off_when_nobody_waits_for_what_is_gone_any_more(brake: Brake) -> None:
    assert not brake.reckon(KEPT, frozenset(), view()).tripped
    assert not brake.reckon(SOME, SOME, view()).tripped


def test_what_is_back_but_disabled_is_not_back(brake: Brake) -> None:
    disabled = VaultView({name: a_sighting(name=name, readable=False) for name in LOST})

    assert brake.reckon(SOME, SOME, disabled).tripped
