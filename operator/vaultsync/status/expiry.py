"""What is said about dates at which secrets expire: a condition, and when it changes by itself. Withholds nothing.

The vault gives an expired secret all the same, and so do we: withholding it would be an outage.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from vaultsync.api.v1alpha1 import StatusEntry
from vaultsync.status.conditions import ConditionState


def expiring(entries: Iterable[StatusEntry], *, now: datetime, notice: timedelta) -> ConditionState:
    """Say whether a secret has expired, or does so within `notice`; the first one is named."""
    dated = sorted((entry.expires, entry.key, entry.secret_name) for entry in entries if entry.expires is not None)
    near = [one for one in dated if one[0] - notice <= now]
    if not near:
        return ConditionState("False", "FarFromExpiry", f"No secret is known to expire within {_days(notice)}.")
    expires, key, name = near[0]
    others = f", and {len(near) - 1} more" if len(near) > 1 else ""
    subject = f"Secret {name}, which fills key {key},"
    at = f"{expires.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if expires <= now:
        return ConditionState(
            "True", "Expired", f"{subject} has expired at {at}{others}; it is kept in sync all the same."
        )
    return ConditionState("True", "ExpiresSoon", f"{subject} expires at {at}{others}.")


def expiry_moments(entries: Iterable[StatusEntry], *, now: datetime, notice: timedelta) -> Iterable[datetime]:
    """The moments to come at which something else is to be said."""
    expiries = {entry.expires for entry in entries if entry.expires is not None}
    return (moment for expires in expiries for moment in (expires - notice, expires) if moment > now)


def _days(notice: timedelta) -> str:
    days = notice / timedelta(days=1)
    return f"{days:g} days" if days != 1 else "a day"
