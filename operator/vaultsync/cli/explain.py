"""`vaultsync explain REASON`: what a reason means, and when the reconcile is retried."""

import sys

from vaultsync.errors import Reason
from vaultsync.texts import one_line


def run(name: str) -> int:
    """Print what a reason means; return the exit code."""
    reason = next((one for one in Reason if one.lower() == name.lower()), None)
    if reason is None:
        print(f"There is no reason {one_line(name)}; these exist: {', '.join(Reason)}.", file=sys.stderr)
        return 2
    print(f"{reason}: {reason.sentence} Retried {reason.retry}.")
    return 0
