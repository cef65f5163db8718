"""Who may do what: vaults outside the known domains, types that mint credentials, targets of others."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START, UID, a_vault_secret, an_observed
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.access import REFUSED_TYPES, check_type, check_vault
from vaultsync.policy.ownership import check_target, is_ours, is_written_for
from vaultsync.state.observed import Field, Observed, Owner

SUFFIXES = (".vault.azure.net", ".Vault.Azure.cn", "localhost")

STRANGERS = an_observed(managed=False, owner_uid=None, owners=(), applied=None, ours=frozenset(), managers=("helm",))
"""A Secret that somebody else made."""


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.net",
        "https://SHOP.vault.azure.net:443",
        "https://a.b.vault.azure.cn",
        "https://localhost:8443",
    ],
)
def test_vaults_in_the_known_domains_are_spoken_to(url: str) -> None:
    check_vault(url, SUFFIXES)


@pytest.mark.parametrize(
    "url",
    [
        "https://vault.azure.net",
        "https://shop.vault.azure.net.evil.example",
        "https://shopvault.azure.net",
        "https://evil.example/.vault.azure.net",
        "https://shop.vault.azure.net@evil.example",
        "https://sub.localhost",
        "",
    ],
)
def test_the_operators_token_goes_nowhere_else(url: str) -> None:
    with pytest.raises(SyncError) as refused:
        check_vault(url, SUFFIXES)

    assert refused.value.reason is Reason.INVALID_SPEC
    assert "VAULTSYNC_VAULT_DNS_SUFFIXES" in refused.value.message


@pytest.mark.parametrize("kind", sorted(REFUSED_TYPES))
def test_types_that_mint_credentials_are_refused_even_if_the_crd_let_them_through(kind: str) -> None:
    target = a_vault_secret().spec.target.model_copy(update={"type": kind})
    spec = VaultSecretSpec.model_copy(a_vault_secret().spec, update={"target": target})

    with pytest.raises(SyncError, match=kind) as refused:
        check_type(a_vault_secret().model_copy(update={"spec": spec}))

    assert refused.value.reason is Reason.INVALID_SPEC


def test_other_types_are_fine() -> None:
    check_type(a_vault_secret())


@pytest.mark.parametrize(
    ("observed", "adopt"),
    [
        (None, False),
        (an_observed(), False),
        (an_observed(managed=False), False),
        (an_observed(ours=frozenset()), False),
        (an_observed(owner_uid="another", applied=None), False),
        (STRANGERS, True),
    ],
    ids=[
        "there is none yet",
        "we made it",
        "somebody took our label off",
        "somebody has changed every field",
        "a VaultSecret that is gone has left it",
        "a stranger's may be adopted",
    ],
)
def test_a_target_may_be_written_when(observed: Observed | None, adopt: bool) -> None:
    check_target(a_vault_secret(target={"adopt": adopt}), observed, competing=())


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        (STRANGERS, "exists already, written by helm"),
        (an_observed(managed=False, ours=frozenset(), owners=(Owner("Certificate", "web", "u"),)), "Certificate web"),
        (an_observed(managed=False, ours=frozenset(), owners=(), managers=()), "exists already;"),
    ],
    ids=["made by hand", "made by a controller", "from before anybody kept record"],
)
def test_a_strangers_secret_is_left_alone_and_the_message_says_whose_it_is(observed: Observed, told: str) -> None:
    with pytest.raises(SyncError) as refused:
        check_target(a_vault_secret(), observed, competing=())

    assert refused.value.reason is Reason.TARGET_CONFLICT
    assert refused.value.message.startswith("Secret shop/db ")
    assert told in refused.value.message
    assert "target.adopt: true" in refused.value.message


def test_fields_of_ours_alone_make_it_ours() -> None:
    observed = an_observed(managed=False, ours=frozenset({Field("data", "password")}))

    assert is_ours(a_vault_secret(), observed)


def test_a_copy_of_our_secret_is_not_ours_though_it_carries_our_label() -> None:
    copied = an_observed(owner_uid="another", ours=frozenset(), managers=("kubectl-create",))

    assert not is_ours(a_vault_secret(), copied)
    with pytest.raises(SyncError, match=r"written by kubectl-create|is owned by"):
        check_target(a_vault_secret(), copied, competing=())


@pytest.mark.parametrize(
    ("observed", "written"),
    [
        (an_observed(), True),
        (an_observed(owner_uid="another"), False),
        (an_observed(ours=frozenset()), False),
        (an_observed(managed=False), False),
    ],
    ids=["it was", "for another VaultSecret", "never, as it is a copy", "it was, and was let go of"],
)
def test_a_secret_was_written_for_a_vaultsecret(observed: Observed, written: bool) -> None:
    assert is_written_for(a_vault_secret(), observed) is written


def wins(vault_secret: VaultSecret, competing: list[VaultSecret]) -> bool:
    try:
        check_target(vault_secret, an_observed(), competing)
    except SyncError:
        return False
    return True


@given(ages=st.lists(st.integers(0, 3), min_size=1, max_size=6), data=st.data())
def test_of_all_who_want_a_target_the_oldest_wins_and_nobody_else(ages: list[int], data: st.DataObject) -> None:
    everybody = [
        a_vault_secret(
            metadata={"name": f"n{index}", "uid": f"u{index}", "creation_timestamp": START + timedelta(seconds=age)}
        )
        for index, age in enumerate(ages)
    ]
    everybody = data.draw(st.permutations(everybody))

    winners = [one for one in everybody if wins(one, [other for other in everybody if other is not one])]

    assert [one.metadata.creation_timestamp for one in winners] == [START + timedelta(seconds=min(ages))]


def test_even_adopt_does_not_take_what_an_older_vaultsecret_wants() -> None:
    older = a_vault_secret(metadata={"name": "elder", "uid": "0" + UID[1:], "creation_timestamp": START})
    younger = a_vault_secret(
        metadata={"name": "junior", "creation_timestamp": START + timedelta(days=1)}, target={"adopt": True}
    )

    with pytest.raises(SyncError, match="belongs to VaultSecret elder, which is older"):
        check_target(younger, None, [older])
