"""What searches see of one vault: its last whole listing, or why there can be none; asks nobody."""

from collections.abc import Mapping

from vaultsync.errors import SyncError
from vaultsync.state.vaults import SecretMetadata


class Catalog:
    """Grows page by page while somebody searches the vault, and is seen once it is whole.

    `listing` is None as long as no listing has ended that began after somebody had begun to search. `refusal` says why
    the vault does not let itself be listed.
    """

    def __init__(self) -> None:
        self.listing: Mapping[str, SecretMetadata] | None = None
        self.refusal: SyncError | None = None
        self._pages: dict[str, SecretMetadata] | None = None

    @property
    def is_growing(self) -> bool:
        """Whether a listing is under way that will be seen."""
        return self._pages is not None

    def begin(self, *, searched: bool) -> None:
        """Begin a listing; what one before it has left unfinished is dropped."""
        self._pages = {} if searched else None

    def add(self, page: Mapping[str, SecretMetadata]) -> None:
        """Add a page."""
        if self._pages is not None:
            self._pages |= page

    def finish(self) -> None:
        """Show the listing, which is whole now; what nobody searches is not kept."""
        self.listing, self.refusal, self._pages = self._pages, None, None

    def abandon(self) -> None:
        """Drop what has not become whole."""
        self._pages = None

    def deny(self, refusal: SyncError) -> bool:
        """Note that the vault does not let itself be listed; tell whether that is news."""
        is_news = self.refusal is None
        self.listing, self.refusal = None, refusal
        return is_news
