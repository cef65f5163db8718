"""Records which namespaces deny the operator a permission, and logs each change once; requests nothing."""

import logging
from collections.abc import Collection
from typing import Final

logger = logging.getLogger(__name__)

ADVICE = "grant it by a Role and a RoleBinding there, or remove the namespace from those to watch"
ADVICE_FOR_ALL = "grant it by a ClusterRole and a ClusterRoleBinding, or name the namespaces to watch"


class Denials:
    """The namespaces in which the API server has denied a request, and accepted none since. None stands for all."""

    def __init__(self, resource: str) -> None:
        """`resource` is what is requested, by its plural."""
        self.resource: Final = resource
        self._namespaces: set[str | None] = set()

    @property
    def namespaces(self) -> Collection[str | None]:
        """Those that are denied."""
        return self._namespaces

    def add(self, namespace: str | None) -> bool:
        """Record a denial; return whether it is the first."""
        if namespace in self._namespaces:
            return False
        self._namespaces.add(namespace)
        fields = {
            "namespace": namespace or "all namespaces",
            "detail": f"the operator's service account may not list and watch {self.resource}",
            "advice": ADVICE if namespace else ADVICE_FOR_ALL,
        }
        logger.warning("namespace denied", extra=fields)
        return True

    def remove(self, namespace: str | None) -> None:
        """Record that a request was accepted."""
        if namespace in self._namespaces:
            self._namespaces.remove(namespace)
            fields = {"namespace": namespace or "all namespaces", "resource": self.resource}
            logger.info("namespace no longer denied", extra=fields)
