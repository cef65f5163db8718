"""Credentials that log in nowhere, with the interface of `Credentials`."""

from kvsecrets.testing import AsyncFakeCredential
from vaultsync.state.access import Identity, TokenClaims


class FakeVaultCredential(AsyncFakeCredential):
    """The credential of an identity for one vault; `is_closed` once it is closed."""

    def __init__(self, identity: Identity, vault_url: str) -> None:
        super().__init__()
        self.identity = identity
        self.vault_url = vault_url
        self.is_closed = False

    verifies_resource = True
    claims = TokenClaims("11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222")

    async def aclose(self) -> None:
        self.is_closed = True


class FakeCredentials:
    """Credentials of any identity; `opened` has all of them, in their order."""

    def __init__(self) -> None:
        self.opened: list[FakeVaultCredential] = []

    def of(self, identity: Identity, vault_url: str) -> FakeVaultCredential:
        self.opened.append(FakeVaultCredential(identity, vault_url))
        return self.opened[-1]
