"""What goes over the wire and comes back, as plain values; knows no HTTP library and no meaning of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

API_VERSION = "7.4"
"""The service's API version that the library speaks unless told otherwise.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: an absolute URL with its query, headers, and a body that its text form hides."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer: header names are lower case; the body, which may hold a value, is hidden in its text form."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
