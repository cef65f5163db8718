"""Translates `Status` documents of the API server to `SyncError`; sends nothing.

Some messages of the server repeat what was sent: a type error has the value, a JSON error in a docker config has its
first invalid character, an admission policy may have anything. So a message is passed on only where it can hold nothing
but metadata of the manifest; otherwise only the field and the kind of error are.
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.texts import one_line

_FIELD_ERRORS = {
    "FieldValueRequired": "is required",
    "FieldValueInvalid": "is not valid",
    "FieldValueNotSupported": "has a value that Kubernetes does not support",
    "FieldValueForbidden": "is not allowed",
    "FieldValueDuplicate": "is a duplicate",
    "FieldValueTooLong": "is too long",
    "FieldValueTypeInvalid": "is of the wrong type",
}
_SEALED = "field is immutable when `immutable` is set"
_IMMUTABLE = "cannot be changed; delete the Secret to have it recreated"
_NAME = r"([0-9A-Za-z_./-]{1,253})"
_NO_PERMISSION = re.compile(rf'User "[^"]*" cannot ([a-z]+) resource "{_NAME}"')
_POLICY = re.compile(rf"ValidatingAdmissionPolicy '{_NAME}'")
_WEBHOOK = re.compile(rf'admission webhook "{_NAME}" denied')
_NO_DRY_RUN = re.compile(rf'admission webhook "{_NAME}" does not support dry run')
_FAILED_WEBHOOK = re.compile(rf'failed calling webhook "{_NAME}"')
_QUOTA = re.compile(rf"exceeded quota: {_NAME},")
_FIELD = re.compile(r"[0-9A-Za-z_]{1,63}(\.[0-9A-Za-z_]{1,63}|\[[^\[\]]{1,350}\]){0,16}")
"""The path of a field, such as `metadata.annotations[example.com/team]`: a key, in brackets, may hold anything."""
_DUMP = re.compile(r"Invalid value: [\[{&].*\}: ", re.DOTALL)
"""A rejected list or object in Go's notation, with addresses in memory, which differ from one response to the next."""
_TOO_LARGE = re.compile(r"request is too large|message larger than max")
_CONFLICT_RETRY = 1.0
"""Seconds until a retry after a conflicting write of another client."""
_MAX_CAUSES = 5
_MAX_PATH = 400


class Conflict(SyncError):
    """The object was changed, replaced or deleted since it was read, or it never existed."""


class AlreadyExists(Conflict):
    """The object that should be created exists: nothing else prevents its creation."""


class Forbidden(SyncError):
    """The operator's service account lacks a permission; the message says which."""


class InvalidFields(SyncError):
    """The object does not fit its schema; the message says which fields."""


class Unauthorized(SyncError):
    """The API server rejects the credentials of the caller."""


class PageTooLarge(SyncError):
    """A page of a list has more bytes than are read: request fewer objects."""


class ResourceExpired(SyncError):
    """The resource version of a list or watch is too old (HTTP 410): list again."""


def api_error(
    status: int, document: Mapping[str, Any], about: str, *, retry_after: float | None = None, reads: bool = False
) -> SyncError:
    """Translate a response of HTTP status 4xx or 5xx.

    Args:
        status: The HTTP status.
        document: The `Status`; empty if the body was not JSON.
        about: The object of the request, such as `Secret shop/db`.
        retry_after: Seconds of the Retry-After header.
        reads: Whether the request was a get, list or watch: no admission rule can have rejected it.
    """
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    causes = details.get("causes")
    causes = [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    message = str(document.get("message") or "")
    reasons = {str(cause.get("reason")) for cause in causes}
    if "NamespaceTerminating" in reasons or (status == HTTPStatus.NOT_FOUND and details.get("kind") == "namespaces"):
        return ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"{about}: its namespace is gone, or being deleted.")
    if status == HTTPStatus.GONE:
        return ResourceExpired(Reason.CLUSTER_UNAVAILABLE, f"{about}: the resource version is too old.")
    if _is_stale(status, details, causes):
        kind = AlreadyExists if document.get("reason") == "AlreadyExists" else Conflict
        text = f"{about} is gone, or was changed at the same time."
        return kind(Reason.CLUSTER_UNAVAILABLE, text, retry_after=_CONFLICT_RETRY)
    is_too_large = "FieldValueTooLong" in reasons or _TOO_LARGE.search(message)
    # The causes of a webhook, and its status, are its own: nothing of them is shown.
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (is_too_large and not _WEBHOOK.search(message)):
        return SyncError(Reason.TARGET_TOO_LARGE, f"{about} is larger than Kubernetes allows{_where(causes)}.")
    if status == HTTPStatus.FORBIDDEN and reads and not _NO_PERMISSION.search(message):
        # Of another authorizer, or of a proxy.
        return Forbidden(Reason.CLUSTER_UNAVAILABLE, f"{about}: the Kubernetes API denies access (HTTP 403).")
    rejected = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}
    return _rejected(message, causes, about) if rejected else _unavailable(status, message, about, retry_after)


def _is_stale(status: int, details: Mapping[str, Any], causes: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether the object is not the one of the request.

    A wrong uid is a conflict if there is no object, an invalid change in an apply onto another object, and without any
    details in a patch that tests it.
    """
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
        return True
    failed_test = status == HTTPStatus.UNPROCESSABLE_ENTITY and not details
    return failed_test or any(cause.get("field") == "metadata.uid" for cause in causes)


def _rejected(message: str, causes: Sequence[Mapping[str, Any]], about: str) -> SyncError:
    """Distinguish a missing permission, an invalid manifest, and the cluster's admission rules."""
    if match := _NO_PERMISSION.search(message):
        verb, resource = match.groups()
        return Forbidden(
            Reason.CLUSTER_UNAVAILABLE, f"{about}: the operator's service account may not {verb} {resource}."
        )
    for pattern, text in (
        (_POLICY, "denied by the admission policy {}"),
        (_WEBHOOK, "denied by the admission webhook {}"),
        (_NO_DRY_RUN, "the admission webhook {} does not support dry runs, by which its replacement is checked"),
        (_QUOTA, "the quota {} of its namespace is exceeded"),
    ):
        if match := pattern.search(message):
            return SyncError(Reason.TARGET_INVALID, f"{about}: {text.format(match[1])}.")
    if any(str(cause.get("message")).endswith(_SEALED) for cause in causes):
        return SyncError(
            Reason.TARGET_IMMUTABLE,
            f"{about} is immutable and has to change; delete it, or set target.replaceImmutable: true, to have it "
            "recreated.",
        )
    if any(cause.get("field") for cause in causes):
        return InvalidFields(Reason.TARGET_INVALID, f"{about}: {_listed(causes, _field_error)}.")
    return SyncError(
        Reason.TARGET_INVALID,
        f"{about}: Kubernetes rejected it; the response is not shown here, since it may contain values.",
    )


def _unavailable(status: int, message: str, about: str, retry_after: float | None) -> SyncError:
    if status == HTTPStatus.UNAUTHORIZED:
        text = "the Kubernetes API rejected the operator's credentials"
        return Unauthorized(Reason.CLUSTER_UNAVAILABLE, f"{about}: {text}.", retry_after=retry_after)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        text = "the Kubernetes API is throttling requests (HTTP 429)"
    elif match := _FAILED_WEBHOOK.search(message):
        text = f"the admission webhook {match[1]} failed"
    else:
        text = f"the Kubernetes API responded with HTTP status {status}"
    return SyncError(Reason.CLUSTER_UNAVAILABLE, f"{about}: {text}.", retry_after=retry_after)


def _listed(causes: Sequence[Mapping[str, Any]], describe: Callable[[Mapping[str, Any]], str]) -> str:
    texts = list(dict.fromkeys(map(describe, causes)))
    more = f", and {len(texts) - _MAX_CAUSES} more" if len(texts) > _MAX_CAUSES else ""
    return "; ".join(texts[:_MAX_CAUSES]) + more


def _field_error(cause: Mapping[str, Any]) -> str:
    """Quote the server's message about metadata, which the manifest holds; never one about data."""
    field, message = _field(cause), str(cause.get("message"))
    if "field is immutable" in message:
        return f"{field} {_IMMUTABLE}"
    if field.startswith("metadata."):
        return f"{field}: {one_line(_DUMP.sub('', message, count=1)).removesuffix('.')}"
    return f"{field} {_FIELD_ERRORS.get(str(cause.get('reason')), 'is rejected')}"


def _where(causes: Sequence[Mapping[str, Any]]) -> str:
    fields = [_field(cause) for cause in causes if cause.get("reason") == "FieldValueTooLong"]
    return f" ({', '.join(fields[:_MAX_CAUSES])})" if fields else ""


def _field(cause: Mapping[str, Any]) -> str:
    field = str(cause.get("field"))
    return one_line(field, _MAX_PATH) if _FIELD.fullmatch(field) else "a field"
