"""What is to be written of a secret's properties, and how the vault takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Literal, Self

from kvsecrets import _limits
from kvsecrets.models import SecretProperties


class Clear(Enum):
    """The type of `CLEAR`, for annotations."""

    CLEAR = "CLEAR"


CLEAR: Literal[Clear.CLEAR] = Clear.CLEAR
"""Says that a field is to be emptied, where None says that it stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be written of a secret's properties: None leaves a field as it is, CLEAR empties it."""

    content_type: str | Clear | None = None
    tags: Mapping[str, str] | Clear | None = None
    enabled: bool | None = None
    not_before: datetime | Clear | None = None
    expires_on: datetime | Clear | None = None

    @classmethod
    def to(cls, wanted: SecretProperties) -> Self:
        """Return the changes that make a secret's properties exactly these."""
        return cls(
            content_type=CLEAR if wanted.content_type is None else wanted.content_type,
            tags=wanted.tags or CLEAR,
            enabled=wanted.enabled,
            not_before=CLEAR if wanted.not_before is None else wanted.not_before,
            expires_on=CLEAR if wanted.expires_on is None else wanted.expires_on,
        )

    def fields(self) -> dict[str, Any]:
        """Return them as the vault takes them: what is None is left out, what is CLEAR becomes null.

        The REST documentation does not say how to empty a field. Null is what the service's users report to work
        (https://github.com/Azure/azure-sdk-for-net/issues/5267) and what the vendor's Go client is able to send. Tags
        are always written as a whole map, so that an empty one clears them.
        """
        attributes: dict[str, Any] = {}
        if self.enabled is not None:
            attributes["enabled"] = _limits.enabled(self.enabled)
        for key, what, when in (("nbf", "not_before", self.not_before), ("exp", "expires_on", self.expires_on)):
            if when is not None:
                attributes[key] = None if isinstance(when, Clear) else _limits.moment(what, when)
        fields: dict[str, Any] = {"attributes": attributes} if attributes else {}
        if (content_type := self.content_type) is not None:
            fields["contentType"] = None if isinstance(content_type, Clear) else _limits.content_type(content_type)
        if self.tags is not None:
            fields["tags"] = {} if isinstance(self.tags, Clear) else _limits.tags(self.tags)
        return fields
