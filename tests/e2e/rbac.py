"""What the operator's service account may do, and nothing else: the rules of the Role or ClusterRole that it needs."""

from typing import Final

from tests.controlplane.cluster import Rule
from vaultsync.api import GROUP, PLURAL

RULES: Final[tuple[Rule, ...]] = (
    {"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [GROUP], "resources": [f"{PLURAL}/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
)
