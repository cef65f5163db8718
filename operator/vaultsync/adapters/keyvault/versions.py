"""Selects the version before the newest one of a secret; lists none itself."""

import math
from collections.abc import Sequence

from kvsecrets import SecretProperties


def version_before(newest: str, versions: Sequence[SecretProperties]) -> str | None:
    """Return the newest of the enabled versions that are not younger than `newest`; None if there is none.

    The vault dates versions in whole seconds: of several in the same second as `newest`, any may be returned.
    """
    until = next((_created(version) for version in versions if version.version == newest), math.inf)
    older = [one for one in versions if one.enabled and one.version != newest and _created(one) <= until]
    return max(older, key=_created).version if older else None


def _created(version: SecretProperties) -> float:
    return version.created_on.timestamp() if version.created_on is not None else 0.0
