"""The process of the operator: `build` and `controller` build its parts, `lifecycle` runs and stops them.

It implements none of them; `snapshot` is the state as metrics show it.
"""

from vaultsync.manager.lifecycle import main, run

__all__ = ["main", "run"]
