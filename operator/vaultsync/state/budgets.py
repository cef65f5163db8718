"""How many secrets each tenant may still read: a token bucket per grant and namespace; reads no clock itself."""

from typing import Final

SECONDS: Final = 10.0
"""The time in which a bucket is filled."""


class ReadBudgets:
    """The buckets of all tenants: a grant and a namespace each. Full ones are forgotten."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, str], float] = {}
        """When each bucket is full again, on the monotonic clock: the later, the fewer reads are left."""

    def take(self, tenant: tuple[str, str], reads: int, *, most: int, now: float) -> float:
        """Take reads from a tenant's bucket, if there is at least one left; more than are left are owed.

        Otherwise a VaultSecret with more secrets than the bucket holds could never be read.

        Args:
            tenant: A grant and a namespace.
            reads: The number of reads.
            most: How many the bucket holds.
            now: The monotonic clock.

        Returns:
            0 if they were taken; otherwise the seconds until the next attempt may succeed.
        """
        full_at = max(self._full_at.get(tenant, now), now)
        wait = full_at - now - SECONDS + SECONDS / most
        if wait > 0:
            return wait
        if tenant not in self._full_at:
            self._full_at = {one: at for one, at in self._full_at.items() if at > now}
        self._full_at[tenant] = full_at + reads * SECONDS / most
        return 0.0
