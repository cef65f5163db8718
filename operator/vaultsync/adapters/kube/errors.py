"""What the API server's refusals mean to us: a `Status` document becomes a `SyncError`; sends nothing.

Some of the server's own sentences repeat what was sent: a type error prints the value, a JSON error in a docker config
prints its first odd character, an admission policy may print anything. So a sentence is passed on only where it can
speak of nothing but the manifest; of the others we tell the field and the kind of trouble.
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from vaultsync.errors import ObjectGone, Reason, SyncError

_WORDS = {
    "FieldValueRequired": "is required",
    "FieldValueInvalid": "is not valid",
    "FieldValueNotSupported": "is not one of the values that Kubernetes knows",
    "FieldValueForbidden": "is not allowed",
    "FieldValueDuplicate": "is there twice",
    "FieldValueTooLong": "is too long",
    "FieldValueTypeInvalid": "is of the wrong type",
}
_SEALED = "field is immutable when `immutable` is set"
_IMMUTABLE = "cannot change once it is set: delete the Secret, and it is made anew"
_NO_PERMISSION = re.compile(r'User "[^"]*" cannot (\w+) resource "([^"]+)"')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([^']+)'")
_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied')
_FAILED_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)"')
_QUOTA = re.compile(r"exceeded quota: ([^,]+),")
_MANAGER = re.compile(r'conflict with "([^"]*)"')
_TOO_LARGE = re.compile(r"request is too large|message larger than max")
_MOMENT = 1.0
"""Seconds after which things that changed under our hands are looked at again."""
_MAX_CAUSES = 5


class Conflict(SyncError):
    """What was known of the object no longer holds: somebody changed, replaced or deleted it, or it never was."""


class Forbidden(SyncError):
    """The operator's service account lacks a right; the message says which."""


class ResourceExpired(SyncError):
    """A list or watch wants to go on from a moment that the API server no longer remembers: list afresh."""


def refusal(status: int, document: Mapping[str, Any], about: str, *, retry_after: float | None = None) -> SyncError:
    """Translate an answer of 4xx or 5xx; `about` names the object, such as `Secret shop/db`."""
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    causes = details.get("causes")
    causes = [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    message = str(document.get("message") or "")
    reasons = {str(cause.get("reason")) for cause in causes}
    if "NamespaceTerminating" in reasons or (status == HTTPStatus.NOT_FOUND and details.get("kind") == "namespaces"):
        return ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"{about}: its namespace is gone, or being deleted.")
    if status == HTTPStatus.GONE:
        return ResourceExpired(Reason.CLUSTER_UNAVAILABLE, f"{about}: the Kubernetes API no longer knows that moment.")
    if "FieldManagerConflict" in reasons:
        return SyncError(Reason.TARGET_CONFLICT, f"{about} belongs to somebody else: {_listed(causes, _owner)}.")
    if _is_stale(status, details, causes):
        text = f"{about} is gone, or somebody else changed it in the same moment."
        return Conflict(Reason.CLUSTER_UNAVAILABLE, text, retry_after=_MOMENT)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "FieldValueTooLong" in reasons or _TOO_LARGE.search(message):
        return SyncError(Reason.TARGET_TOO_LARGE, f"{about} is larger than Kubernetes allows{_where(causes)}.")
    refused = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}
    return _refused(message, causes, about) if refused else _unavailable(status, message, about, retry_after)


def _is_stale(status: int, details: Mapping[str, Any], causes: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether the object is not the one that was meant.

    A uid that is not the object's is a conflict if there is no object, an invalid change to an apply onto another one,
    and to a patch that tests it, invalid without any details.
    """
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
        return True
    failed_test = status == HTTPStatus.UNPROCESSABLE_ENTITY and not details
    return failed_test or any(cause.get("field") == "metadata.uid" for cause in causes)


def _refused(message: str, causes: Sequence[Mapping[str, Any]], about: str) -> SyncError:
    """Tell a missing permission of ours from a bad manifest, and from the cluster's own rules."""
    if match := _NO_PERMISSION.search(message):
        verb, resource = match.groups()
        return Forbidden(
            Reason.CLUSTER_UNAVAILABLE, f"{about}: the operator's service account may not {verb} {resource}."
        )
    for pattern, text in (
        (_POLICY, "the admission policy {} denies it"),
        (_WEBHOOK, "the admission webhook {} denies it"),
        (_QUOTA, "the quota {} of its namespace allows no more"),
    ):
        if match := pattern.search(message):
            return SyncError(Reason.TARGET_INVALID, f"{about}: {text.format(match[1])}.")
    if any(str(cause.get("message")).endswith(_SEALED) for cause in causes):
        return SyncError(
            Reason.TARGET_IMMUTABLE,
            f"{about} is immutable and would have to change; delete it, or set target.replaceImmutable: true, and "
            "it is made anew.",
        )
    if any(cause.get("field") for cause in causes):
        return SyncError(Reason.TARGET_INVALID, f"{about}: {_listed(causes, _fault)}.")
    return SyncError(
        Reason.TARGET_INVALID,
        f"{about}: Kubernetes refuses it; its answer is not repeated here, since it may hold values.",
    )


def _unavailable(status: int, message: str, about: str, retry_after: float | None) -> SyncError:
    if status == HTTPStatus.UNAUTHORIZED:
        text = "the Kubernetes API does not accept the operator's credentials"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        text = "the Kubernetes API says that it is asked too often"
    elif match := _FAILED_WEBHOOK.search(message):
        text = f"the admission webhook {match[1]} does not work"
    else:
        text = f"the Kubernetes API answers with status {status}"
    return SyncError(Reason.CLUSTER_UNAVAILABLE, f"{about}: {text}.", retry_after=retry_after)


def _listed(causes: Sequence[Mapping[str, Any]], tell: Callable[[Mapping[str, Any]], str]) -> str:
    told = list(dict.fromkeys(tell(cause) for cause in causes))
    more = f", and {len(told) - _MAX_CAUSES} more" if len(told) > _MAX_CAUSES else ""
    return "; ".join(told[:_MAX_CAUSES]) + more


def _owner(cause: Mapping[str, Any]) -> str:
    match = _MANAGER.search(str(cause.get("message")))
    return f"{match[1] if match else 'somebody'} owns {str(cause.get('field')).removeprefix('.')}"


def _fault(cause: Mapping[str, Any]) -> str:
    """Quote the server where it speaks of metadata, which the manifest holds; never where it speaks of data."""
    field, message = str(cause.get("field")), str(cause.get("message"))
    if "field is immutable" in message:
        return f"{field} {_IMMUTABLE}"
    if field.startswith("metadata."):
        return f"{field}: {message[:300]}"
    return f"{field} {_WORDS.get(str(cause.get('reason')), 'is refused')}"


def _where(causes: Sequence[Mapping[str, Any]]) -> str:
    fields = [str(cause.get("field")) for cause in causes if cause.get("reason") == "FieldValueTooLong"]
    return f" ({', '.join(fields)})" if fields else ""
