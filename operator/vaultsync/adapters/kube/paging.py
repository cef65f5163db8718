"""Lists objects page by page, with smaller pages while objects are large; knows no kind of object."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vaultsync.adapters.kube.bounded_session import PageSize
from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.errors import PageTooLarge
from vaultsync.adapters.kube.requests import Request

Item = TypeVar("Item")


async def list_all(
    connection: Connection, page: Callable[[str | None, int], Request], read: Callable[[Mapping[str, Any]], Item]
) -> tuple[list[Item], str]:
    """List page by page; return what `read` returns for each item, and the resource version of the list.

    Args:
        connection: The API server.
        page: Returns the request for a page: after a position, with at most so many objects.
        read: Called with each object: only one of them is in memory with all its fields.

    Raises:
        SyncError: As `Connection.send_list`.
    """
    items: list[Item] = []
    position: str | None = None
    size = PageSize()
    while True:
        try:
            document = await connection.send_list(page(position, size.items), read)
        except PageTooLarge:
            if not size.shrink():
                raise
            continue
        size.grow()
        items += document["items"] or ()  # an empty list is null
        position = document["metadata"].get("continue")
        if not position:
            return items, document["metadata"]["resourceVersion"]
