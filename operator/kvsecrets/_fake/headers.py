"""The headers that every answer of the vault carries; knows nothing of what the answer says."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from uuid import uuid4

_ALWAYS = {
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "x-ms-keyvault-region": "westus2",
    "x-ms-keyvault-service-version": "1.9.3070.1",
    "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000;includeSubDomains",
}
_UNDER_RBAC = {
    "x-ms-keyvault-rbac-assignment-id": "00000000000000000000000000000000",
    "x-ms-keyvault-rbac-cache": "ra_age=0;da_age=0;rd_age=0;brd_age=0;ra_notif_age=0;dec_lev=0;",
}


def answer_headers(asked: Mapping[str, str], status: int, body: bytes, now: datetime, *, rbac: bool) -> dict[str, str]:
    """Build the headers of an answer to a request with the headers `asked`; all names are lower case."""
    headers = _ALWAYS | {"x-ms-request-id": str(uuid4()), "date": format_datetime(now, usegmt=True)}
    if "x-ms-client-request-id" in asked:
        headers["x-ms-client-request-id"] = asked["x-ms-client-request-id"]
    if rbac and status != 401:  # noqa: PLR2004 - the recordings have these two on authorized requests only
        headers |= _UNDER_RBAC
    if body:
        headers |= {"content-type": "application/json; charset=utf-8", "content-length": str(len(body))}
    return headers
