"""The rules of Secret types whose data are no keys, and how the rule of a type is applied; reads neither keys nor PEM.

Those of keys are in `type_checks`, with the libraries that read them: another process applies them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from vaultsync.errors import Reason, SyncError
from vaultsync.render.docker_configs import DockerConfigError, normalized_config, normalized_old_config

KEY_TYPES: Final = frozenset({"kubernetes.io/tls", "kubernetes.io/ssh-auth"})
"""The types whose data are keys: their check is the work of another process, see `adapters.certificates`."""

Rule = Callable[[Mapping[str, bytes]], dict[str, bytes]]
"""Returns the keys that it has repaired; raises `InvalidKey`."""


class InvalidKey(Exception):
    """A key of the Secret, and what is wrong with its content: the text continues a sentence and holds no content."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(problem)
        self.key = key


def by_rule(
    secret_type: str, data: Mapping[str, bytes], *, target: str, rules: Mapping[str, Rule] | None = None
) -> dict[str, bytes]:
    """Return the data as all readers of the Secret's type accept it; that of types without rules stays as it is.

    Args:
        secret_type: The Secret's `type`.
        data: Contents by key.
        target: Namespace and name of the Secret, for the message.
        rules: Those of types; by default `RULES`.

    Raises:
        SyncError: TargetInvalid, with a message that names `target` and the key, and holds no content.
    """
    rule = (RULES if rules is None else rules).get(secret_type)
    if rule is None:
        return dict(data)
    try:
        return {**data, **rule(data)}
    except InvalidKey as error:
        problem = f"Key {error.key} {error}"
    # Not inside the handler: the parsers' errors would be the context, and they may hold the content.
    raise SyncError(Reason.TARGET_INVALID, f"{problem}. Secret {target} of type {secret_type} would be unusable.")


def _docker_config(key: str, normalized: Callable[[bytes], bytes]) -> Rule:
    def rule(data: Mapping[str, bytes]) -> dict[str, bytes]:
        try:
            return {key: normalized(data.get(key, b""))}
        except DockerConfigError as error:
            raise InvalidKey(key, str(error)) from None

    return rule


RULES: Final[Mapping[str, Rule]] = {
    "kubernetes.io/dockerconfigjson": _docker_config(".dockerconfigjson", normalized_config),
    "kubernetes.io/dockercfg": _docker_config(".dockercfg", normalized_old_config),
}
"""By type."""
