"""The catalog of a vault: seen when it is whole, kept for searches alone."""

from tests.builders import a_sighting
from vaultsync.rules.outcome import Reason, SyncError
from vaultsync.triggers.catalog import Catalog

ONE, TWO = {"one": a_sighting()}, {"two": a_sighting()}
DENIED = SyncError(Reason.ACCESS_DENIED, "No.")


def test_a_listing_is_seen_once_it_is_whole() -> None:
    catalog = Catalog()

    catalog.begin(searched=True)
    catalog.add(ONE)
    catalog.add(TWO)
    assert (catalog.listing, catalog.is_growing) == (None, True)

    catalog.finish()
    assert (catalog.listing, catalog.is_growing) == (ONE | TWO, False)


def test_a_listing_that_broke_off_leaves_the_one_before() -> None:
    catalog = Catalog()
    catalog.begin(searched=True)
    catalog.add(ONE)
    catalog.finish()

    catalog.begin(searched=True)
    catalog.add(TWO)
    catalog.abandon()

    assert (catalog.listing, catalog.is_growing) == (ONE, False)


def test_what_nobody_searches_is_not_kept() -> None:
    catalog = Catalog()
    catalog.begin(searched=True)
    catalog.add(ONE)
    catalog.finish()

    catalog.begin(searched=False)
    catalog.add(TWO)
    catalog.finish()

    assert catalog.listing is None


def test_a_refusal_is_news_once_until_the_vault_has_been_listed() -> None:
    catalog = Catalog()

    assert catalog.deny(DENIED)
    assert not catalog.deny(DENIED)
    assert (catalog.listing, catalog.refusal) == (None, DENIED)

    catalog.begin(searched=True)
    catalog.finish()
    assert catalog.refusal is None
    assert catalog.deny(DENIED)
