"""The catalog of a vault: seen when it is whole, kept for searches alone."""

from tests.builders import a_sighting
from vaultsync.errors import Reason, SyncError
from vaultsync.sources.catalog import Catalog

ONE, TWO = {"one": a_sighting()}, {"two": a_sighting()}
DENIED = SyncError(Reason.ACCESS_DENIED, "No.")


def test_a_listing_is_seen_once_it_is_whole() -> None:
    listing = Catalog()

    listing.begin(searched=True)
    listing.add(ONE)
    listing.add(TWO)
    assert (listing.listing, listing.is_growing) == (None, True)

    listing.finish()
    assert (listing.listing, listing.is_growing) == (ONE | TWO, False)


def test_a_listing_that_broke_off_leaves_the_one_before() -> None:
    listing = Catalog()
    listing.begin(searched=True)
    listing.add(ONE)
    listing.finish()

    listing.begin(searched=True)
    listing.add(TWO)
    listing.abandon()

    assert (listing.listing, listing.is_growing) == (ONE, False)


def test_what_nobody_searches_is_not_kept() -> None:
    listing = Catalog()
    listing.begin(searched=True)
    listing.add(ONE)
    listing.finish()

    listing.begin(searched=False)
    listing.add(TWO)
    listing.finish()

    assert listing.listing is None


def test_a_refusal_is_news_once_until_the_vault_has_been_listed() -> None:
    listing = Catalog()

    assert listing.deny(DENIED)
    assert not listing.deny(DENIED)
    assert (listing.listing, listing.refusal) == (None, DENIED)

    listing.begin(searched=True)
    listing.finish()
    assert listing.refusal is None
    assert listing.deny(DENIED)
