"""Which of a secret's versions was the one before the newest; lists none itself."""

import math
from collections.abc import Sequence

from kvsecrets import SecretProperties


def version_before(newest: str, versions: Sequence[SecretProperties]) -> str | None:
    """Find the newest of the enabled versions that are no younger than the newest of all; None if there is none.

    The vault dates versions in whole seconds: of several within the newest's own second, any may be taken.
    """
    until = next((_created(version) for version in versions if version.version == newest), math.inf)
    older = [one for one in versions if one.enabled and one.version != newest and _created(one) <= until]
    return max(older, key=_created).version if older else None


def _created(version: SecretProperties) -> float:
    return version.created_on.timestamp() if version.created_on is not None else 0.0
