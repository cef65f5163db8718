"""Resource versions as moments in the API server's life: which of two came first; asks nobody.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""


def is_newer(resource_version: str, other: str) -> bool:
    """Tell whether that moment came after the other; both are of objects or lists of one kind."""
    return int(resource_version) > int(other)
