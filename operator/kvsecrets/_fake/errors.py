"""The error responses of the vault, with the status, codes and messages of the real service; decides nothing itself.

https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
"""

from collections.abc import Mapping

_LOCATION = "westus2"


class VaultRefused(Exception):
    """An error of the vault: over HTTP an error response, and raised by the methods of `FakeVault`, such as `set`.

    Args:
        status: The HTTP status.
        code: `error.code`.
        message: `error.message`.
        inner: `error.innererror.code`, if there is one.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        inner: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, object]:
        """The JSON body of the error response."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def unauthorized(message: str, challenge: str) -> VaultRefused:
    return VaultRefused(401, "Unauthorized", message, headers={"www-authenticate": challenge})


def bad_parameter(message: str, *, inner: str | None = None) -> VaultRefused:
    return VaultRefused(400, "BadParameter", message, inner=inner)


def bad_property() -> VaultRefused:
    """The body is not a JSON object, or a field is missing, has a wrong type or is too long."""
    return bad_parameter("Property  has invalid value\r\n")


def bad_name(name: str) -> VaultRefused:
    return bad_parameter(f"The request URI contains an invalid name: {name}")


def bad_paging(parameter: str) -> VaultRefused:
    """[?] The service's message for an invalid page size or continuation token is not recorded."""
    return bad_parameter(f"The request URI contains an invalid parameter: {parameter}")


def unknown_api_version(version: str) -> VaultRefused:
    return bad_parameter(
        f"The specified version ({version}) is not recognized. Consider using the latest supported version (7.6)."
    )


def value_too_large() -> VaultRefused:
    text = "Secret is beyond the maximum permitted length of 25600 characters."
    return bad_parameter(text, inner="SecretTooLarge")


def not_convertible() -> VaultRefused:
    return bad_parameter(
        "The 'Unsupported' to 'PEM' transformation is not supported. Only PFX to PEM transformation is supported."
    )


def malformed_backup(message: str) -> VaultRefused:
    return VaultRefused(400, "Malformed backup blob", message)


def forbidden(message: str, *, inner: str | None = None) -> VaultRefused:
    return VaultRefused(403, "Forbidden", message, inner=inner)


def secret_disabled() -> VaultRefused:
    return forbidden("Operation get is not allowed on a disabled secret.", inner="SecretDisabled")


def secret_managed(operation: str) -> VaultRefused:
    """[?] The service's message for a change to a certificate's secret is not recorded."""
    return forbidden(f"Operation {operation} is not allowed on a secret managed by a certificate.")


def denied_by_policy(caller: str, permission: str, vault: str) -> VaultRefused:
    return forbidden(
        f"The user, group or application '{caller}' does not have secrets {permission} permission on key vault "
        f"'{vault};location={_LOCATION}'. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125287",
        inner="ForbiddenByPolicy",
    )


def denied_by_rbac(caller: str, action: str, vault: str, name: str | None) -> VaultRefused:
    resource = f"/subscriptions/00000000-0000-0000-0000-000000000000/vaults/{vault}"
    if name:
        resource += f"/secrets/{name}"
    return forbidden(
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, "
        "please observe propagation time.\r\n"
        f"Caller: {caller}\r\nAction: '{action}'\r\nResource: '{resource}'\r\n"
        "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n"
        f"Vault: {vault};location={_LOCATION}\r\n",
        inner="ForbiddenByRbac",
    )


def denied_by_firewall(caller: str, vault: str) -> VaultRefused:
    return forbidden(
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: 127.0.0.1\r\nCaller: {caller}\r\nVault: {vault};location={_LOCATION}",
        inner="ForbiddenByFirewall",
    )


def purge_protected(vault: str) -> VaultRefused:
    return forbidden(
        'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will '
        f"automatically purge it after the retention period has passed. Vault: {vault};location={_LOCATION}"
    )


def not_found(name: str, version: str | None = None) -> VaultRefused:
    identifier = f"{name}/{version}" if version else name
    return VaultRefused(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {identifier} was not found in this key vault. If you recently deleted this secret "
        "you may be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def deleted_not_found(name: str) -> VaultRefused:
    return VaultRefused(404, "SecretNotFound", f"Deleted Secret not found: {name}")


def unknown_path() -> VaultRefused:
    """[?] The service's response to an unknown path is not recorded."""
    return VaultRefused(404, "NotFound", "The requested resource does not exist.")


def method_not_allowed(method: str) -> VaultRefused:
    return VaultRefused(405, "MethodNotAllowed", f"HTTP {method} not allowed")


def conflict(message: str, *, inner: str | None = None) -> VaultRefused:
    return VaultRefused(409, "Conflict", message, inner=inner)


def name_deleted(name: str) -> VaultRefused:
    return conflict(
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, "
        "the secret can only be recovered or purged.",
        inner="ObjectIsDeletedButRecoverable",
    )


def name_being_deleted(name: str) -> VaultRefused:
    text = f"Secret {name} is currently being deleted and cannot be re-created; retry later."
    return conflict(text, inner="ObjectIsBeingDeleted")


def name_being_recovered(name: str) -> VaultRefused:
    text = f"Secret {name} is currently being recovered and cannot be re-created; retry later."
    return conflict(text, inner="ObjectIsBeingRecovered")


def being_deleted() -> VaultRefused:
    return conflict("Secret is currently being deleted.", inner="ObjectIsBeingDeleted")


def being_recovered() -> VaultRefused:
    """[?] By analogy with `being_deleted`."""
    return conflict("Secret is currently being recovered.", inner="ObjectIsBeingRecovered")


def restore_conflict(identifier: str) -> VaultRefused:
    return conflict(
        f"There was a conflict restoring the secret '{identifier}'. This can happen if either: a second secret with "
        "the same name exists, or several operations run on this secret at once."
    )


def throttled(retry_after: int | None) -> VaultRefused:
    text = "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"
    return VaultRefused(429, "Throttled", text, headers=_retry_after(retry_after))


def server_failed(status: int, retry_after: int | None = None) -> VaultRefused:
    """[?] No recording of a server error exists; the documentation describes the same shape with less detail."""
    text = "The service could not complete the request."
    return VaultRefused(status, "InternalServerError", text, headers=_retry_after(retry_after))


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": str(seconds)}
