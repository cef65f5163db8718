"""SecretStore and ClusterSecretStore of External Secrets: the vault, and the identity that reads it.

https://external-secrets.io/latest/provider/azure-key-vault/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vaultsync.convert.drafts import Identity
from vaultsync.convert.nodes import Node
from vaultsync.convert.objects import Object
from vaultsync.convert.vaults import (
    IDENTITIES_PAGE,
    IDENTITY_NEEDED,
    SUFFIXES,
    UNKNOWN_ID,
    UNKNOWN_IDENTITY,
    is_guid,
    managed_identity,
    workload_identity,
)

STORE: Final = "SecretStore"
CLUSTER_STORE: Final = "ClusterSecretStore"

_CLIENT_ID: Final = "azure.workload.identity/client-id"
_TENANT_ID: Final = "azure.workload.identity/tenant-id"
_ROLE: Final = (
    f"give vaultsync's identity the role on the vault, or complete identity in the VaultGrant: {IDENTITIES_PAGE}"
)


@dataclass(frozen=True, slots=True)
class Store:
    """A vault as an ExternalSecret names it."""

    origin: Node
    vault_url: str
    identity: Identity
    namespaces: frozenset[str] | None = None
    """Those that may use it; None if all may, or if the input does not say which."""

    def is_for(self, namespace: str) -> bool:
        """Return whether a namespace may use it, as far as the input says."""
        return self.namespaces is None or namespace in self.namespaces


@dataclass(slots=True)
class Stores:
    """The stores of the input."""

    accounts: Mapping[tuple[str, str], Mapping[str, str]]
    """Annotations of ServiceAccounts, by namespace and name."""
    stores: dict[tuple[str, str, str], Store | None] = field(default_factory=dict)
    """By kind, namespace and name; None is one of another provider."""
    used: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, store: Object) -> None:
        """Read a store."""
        key = (store.kind, store.namespace if store.kind == STORE else "", store.name)
        if key in self.stores:
            store.node.report("the input has this store twice", "the first one is used; leave one of them out")
            return
        self.stores[key] = None
        spec = store.spec
        provider = None if spec is None else spec.child("provider")
        if spec is None or provider is None:
            store.node.report("it has no provider", "complete it")
            return
        vault = provider.child("azurekv")
        if vault is None:
            provider.report("it is not an Azure Key Vault", "leave the ExternalSecrets of this store as they are")
            spec.mark()
            return
        _report_settings(spec)
        namespaces = _namespaces(spec) if store.kind == CLUSTER_STORE else None
        self.stores[key] = Store(store.node, vault.text_of("vaultUrl"), self._identity(vault, store), namespaces)

    def find(self, kind: str, namespace: str, name: str) -> Store | None:
        """Return the store that an ExternalSecret of a namespace names.

        Raises:
            KeyError: It is not in the input.
        """
        key = (kind, namespace if kind == STORE else "", name)
        store = self.stores[key]
        self.used.add(key)
        return store

    def report_unused(self) -> None:
        """Report stores without an ExternalSecret: their grants would allow nothing."""
        for key in self.stores.keys() - self.used:
            store = self.stores[key]
            if store is not None:
                store.origin.remark(
                    "no ExternalSecret of the input uses this store, so there is no VaultGrant for its vault",
                    "convert it together with those that use it",
                )

    def _identity(self, vault: Node, store: Object) -> Identity:
        environment = vault.child("environmentType")
        cloud = "" if environment is None else environment.text()
        custom = vault.child("customCloudConfig")
        host = vault.text_of("vaultUrl").removesuffix("/")
        if environment is not None and not host.endswith("." + SUFFIXES.get(cloud.lower(), "\n")):
            environment.report(
                "where an identity logs in follows from the vault's domain",
                f"set settings.vaultAuthorities of the chart: {IDENTITIES_PAGE}",
            )
        if custom is not None:
            custom.report(
                "where an identity logs in follows from the vault's domain, and what tokens are for from the settings",
                f"set settings.vaultAuthorities and settings.vaultResources of the chart: {IDENTITIES_PAGE}",
            )
        # Which library External Secrets uses makes no difference.
        vault.ignore("useAzureSDK")
        match vault.text_of("authType", "ServicePrincipal"):
            case "WorkloadIdentity":
                return self._workload_identity(vault, store)
            case "ManagedIdentity":
                return _managed_identity(vault)
            case "ServicePrincipal":
                return _service_principal(vault, store)
            case _:
                vault.report("this authType is not known", IDENTITY_NEEDED)
                return UNKNOWN_IDENTITY

    def _workload_identity(self, vault: Node, store: Object) -> Identity:
        account = vault.child("serviceAccountRef")
        tenant_id = vault.text_of("tenantId")
        if account is None:
            (vault.child("authType") or vault).remark(
                "the identity of External Secrets' own pods reads the vault", _ROLE
            )
            return Identity()
        name, namespace = account.text_of("name"), account.child("namespace")
        audiences = account.child("audiences")
        if audiences is not None:
            audiences.report("tokens are for api://AzureADTokenExchange only", "let the federated credential have it")
        where = store.namespace if store.kind == STORE else "" if namespace is None else namespace.text()
        if store.kind == CLUSTER_STORE and namespace is not None:
            namespace.report(
                "a ServiceAccount of another namespace is never used",
                f"create ServiceAccount {name} and its federated credential in each namespace: {IDENTITIES_PAGE}",
            )
        annotations = self.accounts.get((where, name), {})
        client_id = annotations.get(_CLIENT_ID, "")
        tenant_id = tenant_id or annotations.get(_TENANT_ID, "")
        reference = vault.child("authSecretRef")
        if reference is not None:
            _report_ids(reference, "clientId", "tenantId")
        elif not client_id or not tenant_id:
            account.remark(
                f"the input does not have ServiceAccount {name} with the annotations {_CLIENT_ID} and {_TENANT_ID}",
                f"convert it together with the store, or replace {UNKNOWN_ID} in the VaultGrant",
            )
        return workload_identity(tenant_id, client_id, name)


def _report_settings(spec: Node) -> None:
    for name, reason, advice in (
        ("controller", "vaultsync has no classes of controllers", "install it once for each set of namespaces"),
        ("refreshInterval", "vaultsync checks each VaultGrant every ten minutes", "there is nothing to set"),
        ("retrySettings", "vaultsync repeats failed calls by itself", "there is nothing to set"),
        (
            "conditions",
            "the VaultGrant names the input's namespaces only, whatever labels and patterns of the store select",
            "remove those from namespaces that may not use the vault, and add others that may",
        ),
    ):
        setting = spec.child(name)
        if setting is not None and setting.content not in ("", "0", [], {}):
            setting.report(reason, advice)


def _namespaces(spec: Node) -> frozenset[str] | None:
    """Return the namespaces to which the conditions of a ClusterSecretStore restrict it; None if they are not known."""
    conditions = [one.fields() for one in spec.items_of("conditions")]
    if any(one.keys() != {"namespaces"} for one in conditions):
        return None
    return frozenset(name.text() for one in conditions for name in one["namespaces"].items()) if conditions else None


def _managed_identity(vault: Node) -> Identity:
    identity = vault.child("identityId")
    # A managed identity logs in to the tenant that it is of, whatever the store says.
    vault.ignore("tenantId")
    if identity is not None and is_guid(identity.text()):
        return managed_identity(identity.text())
    (identity or vault.child("authType") or vault).remark(
        "the client id of the managed identity is not known", IDENTITY_NEEDED
    )
    return UNKNOWN_IDENTITY


def _service_principal(vault: Node, store: Object) -> Identity:
    reference = vault.child("authSecretRef")
    fields: dict[str, Any] = {"tenantId": vault.text_of("tenantId") or UNKNOWN_ID, "clientId": UNKNOWN_ID}
    if reference is None:
        vault.report("it has no authSecretRef", IDENTITY_NEEDED)
        return UNKNOWN_IDENTITY
    _report_ids(reference, "clientId", "tenantId")
    for name, ours in (("clientSecret", "clientSecretRef"), ("clientCertificate", "certificateRef")):
        selector = reference.child(name)
        if selector is None:
            continue
        namespace, secret = selector.text_of("namespace"), selector.text_of("name")
        if store.kind == STORE:
            namespace = store.namespace
        # Secrets of several namespaces may have one name. No namespace has a dot.
        copied = f"{namespace}.{secret}" if namespace else secret
        fields[ours] = {"name": copied, "key": selector.text_of("key")}
        selector.remark(
            "a service principal's Secret has to be in the namespace of the operator",
            f"copy Secret {f'{namespace}/' if namespace else ''}{secret} there as {copied}, and name it in "
            f"identities.secrets of the chart: {IDENTITIES_PAGE}",
        )
    if len(fields) != 3:  # noqa: PLR2004  both ids and one credential
        reference.report("it has not exactly one of clientSecret and clientCertificate", IDENTITY_NEEDED)
        return UNKNOWN_IDENTITY
    return Identity({"servicePrincipal": fields}, f"Needs the Secret in the operator's namespace: {IDENTITIES_PAGE}")


def _report_ids(reference: Node, *names: str) -> None:
    for name in names:
        selector = reference.child(name)
        if selector is not None:
            secret, key = _qualified(selector), selector.text_of("key")
            selector.remark(
                f"{name} is in Secret {secret}, which is not part of the input",
                f"replace {UNKNOWN_ID} in the VaultGrant by what that Secret has as {key}",
            )


def _qualified(selector: Node) -> str:
    """Return the name of a Secret, with its namespace if the store gives one."""
    namespace = selector.text_of("namespace")
    return f"{namespace}/{selector.text_of('name')}" if namespace else selector.text_of("name")


def read_stores(objects: Iterable[Object], accounts: Iterable[Object]) -> Stores:
    """Read the stores of the input, and what ServiceAccounts say about them."""
    annotations = {
        (account.namespace, account.name): {key: str(at.value) for key, at in account.annotations.items()}
        for account in accounts
    }
    stores = Stores(annotations)
    for store in objects:
        stores.add(store)
    return stores
