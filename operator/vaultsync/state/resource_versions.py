"""Compares resource versions of one kind of object; sends no request.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""


def is_newer(resource_version: str, other: str) -> bool:
    """Return whether a resource version is newer than another; both must be of one kind of object, or of its lists."""
    return int(resource_version) > int(other)
