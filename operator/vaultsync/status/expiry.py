"""The condition Expiring, and when it changes by itself; expired secrets are synced like others.

The vault returns expired secrets, too: not syncing them would cause an outage.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from vaultsync.api.v1alpha1 import StatusEntry
from vaultsync.status.conditions import ConditionState
from vaultsync.texts import in_utc


def expiring(entries: Iterable[StatusEntry], *, now: datetime, notice: timedelta) -> ConditionState:
    """Return whether a secret or a certificate has expired or expires within `notice`; the message names the first."""
    dated = sorted(
        (expires, entry.key, entry.secret_name, expires != entry.expires)
        for entry in entries
        if (expires := entry.first_expiry) is not None
    )
    near = [one for one in dated if one[0] <= now + notice]
    if not near:
        return ConditionState("False", "FarFromExpiry", f"No secret expires within {_days(notice)}.")
    expires, key, name, is_certificate = near[0]
    others = f", and {len(near) - 1} more" if len(near) > 1 else ""
    subject = f"{'The certificate in secret' if is_certificate else 'Secret'} {name}, which fills key {key},"
    at = in_utc(expires)
    if expires <= now:
        return ConditionState("True", "Expired", f"{subject} expired at {at}{others}; it is still synced.")
    return ConditionState("True", "ExpiresSoon", f"{subject} expires at {at}{others}.")


def expiry_moments(entries: Iterable[StatusEntry], *, now: datetime, notice: timedelta) -> Iterable[datetime]:
    """Return the future times at which the condition changes."""
    # Only future ones: `notice` before the year 1 would overflow.
    expiries = {moment for entry in entries if (moment := entry.first_expiry) is not None and moment > now}
    return (moment for expires in expiries for moment in (expires - notice, expires) if moment > now)


def _days(notice: timedelta) -> str:
    days = notice / timedelta(days=1)
    return f"{days:g} days" if days != 1 else "1 day"
