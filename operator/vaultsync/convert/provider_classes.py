"""SecretProviderClass of the Secrets Store CSI driver with the Azure provider: what its files become in a Secret.

https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/getting-started/usage/
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vaultsync.api import MANAGED_BY_LABEL
from vaultsync.convert.drafts import At, Draft, Identity
from vaultsync.convert.nodes import Node
from vaultsync.convert.objects import Object, texts
from vaultsync.convert.provider_identities import IDENTITY_FIELDS, identity_of
from vaultsync.convert.vaults import IDENTITIES_PAGE, SUFFIXES

PEER: Final = "the CSI driver"
PAGE: Final = "csi.md"

_TLS: Final = "kubernetes.io/tls"
_TLS_KEYS: Final = frozenset({"tls.crt", "tls.key"})
_ENCODINGS: Final[Mapping[str, str]] = {"base64": "Base64", "hex": "Hex"}
_VERSION: Final = re.compile(r"(?P<name>.+)/(?P<index>[0-9]{1,4})")
Within = Callable[[Node], Node | None]
"""Reads the YAML of a text."""


@dataclass(slots=True)
class File:
    """An object of the vault that becomes a file, or several if its history is asked for."""

    node: Node
    name: At
    type: str
    version: At | None
    encoding: At | None
    has_history: bool
    is_used: bool = False


@dataclass(slots=True)
class ProviderClass:
    """A SecretProviderClass of Azure, and its files by their names."""

    source: Object
    parameters: Node
    vault_url: str
    tenant_id: str
    files: dict[str, File] = field(default_factory=dict)
    secrets: list[Node] = field(default_factory=list)
    is_synced: bool = False
    """Whether a SecretSync uses it."""

    def identity(self, service_account: str | None) -> Identity:
        """Return the identity of pods, or of a SecretSync, with a ServiceAccount, which pods do not say."""
        return identity_of(self.parameters, self.tenant_id, service_account)


@dataclass(frozen=True, slots=True)
class Item:
    """A key of the Secret, and the name of its file."""

    node: Node
    file: Node
    key: Node


def read(source: Object, within: Within) -> ProviderClass | None:
    """Read a SecretProviderClass; one of another provider is a finding."""
    spec = source.spec
    parameters = None if spec is None else spec.child("parameters")
    if spec is None or spec.text_of("provider") != "azure" or parameters is None:
        source.node.report("its provider is not azure", "leave it as it is")
        return None
    tenants = [parameters.text_of(name).strip() for name in ("tenantID", "tenantId")]
    read_ = ProviderClass(
        source,
        parameters,
        f"https://{parameters.text_of('keyvaultName').strip()}.{_suffix(parameters)}",
        tenants[0] or tenants[1],
        secrets=spec.items_of("secretObjects"),
    )
    objects = parameters.child("objects")
    array = None if objects is None else within(objects)
    for item in [] if array is None else array.items_of("array"):
        inner = within(item)
        if inner is not None:
            _read_file(read_, inner)
    if array is not None:
        for node in array.unread():
            node.report("this field is not known", "remove it")
    return read_


def _suffix(parameters: Node) -> str:
    cloud, environment = parameters.child("cloudName"), parameters.child("cloudEnvFileName")
    suffix = SUFFIXES.get("" if cloud is None else cloud.text().strip().lower())
    if suffix is None and cloud is not None:
        cloud.report("the domain of the vaults of this cloud is not known", "correct vaultUrl")
    if environment is not None and environment.text():
        environment.report(
            "where an identity logs in follows from the vault's domain",
            f"set settings.vaultAuthorities of the chart: {IDENTITIES_PAGE}",
        )
    return suffix or SUFFIXES[""]


def _read_file(provider_class: ProviderClass, item: Node) -> None:
    name, alias, version, encoding = (
        item.child(field_) for field_ in ("objectName", "objectAlias", "objectVersion", "objectEncoding")
    )
    if name is None:
        item.report("it has no objectName", "complete it")
        return
    pinned = version is not None and version.text() not in {"", "latest"}
    coding = "" if encoding is None else encoding.text().lower()
    if encoding is not None and coding not in {"", "utf-8", *_ENCODINGS}:
        encoding.report("there is no such encoding", "write utf-8, base64 or hex")
    permission, history = item.child("filePermission"), item.text_of("objectVersionHistory", "0")
    if permission is not None:
        permission.report("a Secret has no permissions", "set defaultMode in the pod's volume")
    # The format decides how a certificate becomes a file; `dataFrom.certificate` reads both.
    item.ignore("objectFormat")
    file = File(
        item,
        At(name.text(), name.place),
        item.text_of("objectType").lower(),
        At(version.text(), version.place) if version is not None and pinned else None,
        At(_ENCODINGS[coding], encoding.place) if encoding is not None and coding in _ENCODINGS else None,
        has_history=history.isdecimal() and int(history) > 1,
    )
    path = name.text() if alias is None or not alias.text() else alias.text()
    if path in provider_class.files:
        item.report(f"two objects have the file {path}", "give one of them another objectAlias")
        return
    provider_class.files[path] = file
    for node in item.unread():
        node.report("this field is not known", "remove it")


def convert(provider_class: ProviderClass) -> Iterator[Draft]:
    """Yield a VaultSecret for each Secret that a SecretProviderClass lists."""
    source = provider_class.source
    identity = provider_class.identity(None) if provider_class.secrets else Identity()
    for secret in provider_class.secrets:
        name = secret.text_of("secretName")
        draft = Draft(secret, [str(source)], PEER, PAGE, name, source.namespace, provider_class.vault_url, identity)
        draft.labels, draft.annotations = dict(source.labels), dict(source.annotations)
        fill(draft, provider_class, secret, items_of(secret, file="objectName", key="key"))
        yield draft


def report_files(provider_class: ProviderClass) -> None:
    """Report what pods mount only."""
    # What is only mounted needs no identity here.
    provider_class.parameters.ignore(*IDENTITY_FIELDS)
    for path, file in provider_class.files.items():
        if not file.is_used:
            file.node.report(
                f"pods mount {path} as a file, and no Secret has it",
                "list it in secretObjects and convert again, and let pods mount the Secret",
            )


def items_of(secret: Node, *, file: str, key: str) -> list[Item]:
    """Return the keys of a Secret, of which each item names the file and the key in these fields."""
    return [
        Item(item, in_file, in_key)
        for item in secret.items_of("data")
        if (in_file := item.child(file)) is not None and (in_key := item.child(key)) is not None
    ]


def fill(draft: Draft, provider_class: ProviderClass, secret: Node, items: Sequence[Item]) -> None:
    """Add the type, labels, annotations and keys of a Secret."""
    kind = secret.child("type")
    if kind is not None and kind.text() not in {"", "Opaque"}:
        draft.target["type"] = At(kind.text(), kind.place)
    for name in ("labels", "annotations"):
        members = texts(secret.map_of(name))
        if name == "labels" and members.pop(MANAGED_BY_LABEL, None) is not None:
            secret.remark(f"vaultsync sets the label {MANAGED_BY_LABEL} itself", "use another label")
        if members:
            draft.target[name] = members
    is_tls = kind is not None and kind.text() == _TLS
    pair = [item for item in items if is_tls and item.key.text() in _TLS_KEYS]
    if pair:
        _certificate(draft, provider_class, pair)
    for item in items:
        if item not in pair:
            _entry(draft, provider_class, item)


def _file(draft: Draft, provider_class: ProviderClass, item: Item) -> tuple[File, int] | None:
    """Return the file of a key, and which version of it, 0 for the newest."""
    path, index = item.file.text().strip(), 0
    file = provider_class.files.get(path)
    if file is None and (found := _VERSION.fullmatch(path)):
        file, index = provider_class.files.get(found["name"]), int(found["index"])
    if file is None or file.has_history != ("/" in path):
        draft.lose(item.node, f"the SecretProviderClass has no object with the file {path}", "complete objects")
        return None
    file.is_used = True
    return file, index


def _entry(draft: Draft, provider_class: ProviderClass, item: Item) -> None:
    found = _file(draft, provider_class, item)
    if found is None:
        return
    file, index = found
    if file.type != "secret":
        draft.lose(
            item.node,
            f"vaultsync reads secrets, and {file.name.value} is read as a {file.type or 'thing without objectType'}",
            "use objectType: secret; for a certificate dataFrom.certificate, see docs/guide.md",
        )
        return
    key = At(item.key.text().strip(), item.key.place)
    if index:
        _previous(draft, item, file, key, index)
        return
    fields: dict[str, Any] = {"key": key, "secretName": file.name}
    if file.version is not None:
        fields["version"] = file.version
    if file.encoding is not None:
        fields["encoding"] = file.encoding
    draft.data.append(At(fields, item.node.place))


def _previous(draft: Draft, item: Item, file: File, key: At, index: int) -> None:
    """Add the version before the newest one to the entry of that."""
    entry = next((entry.value for entry in draft.data if entry.value["secretName"].value == file.name.value), None)
    if index > 1 or entry is None or file.version is not None:
        draft.lose(
            item.node,
            "vaultsync writes the newest version, and with previousKey the one before it",
            "pin older versions with version",
        )
        return
    entry["previousKey"] = key


def _certificate(draft: Draft, provider_class: ProviderClass, pair: Sequence[Item]) -> None:
    """Add a certificate, of which tls.crt and tls.key are parts."""
    files = [(item, found[0]) for item in pair if (found := _file(draft, provider_class, item)) is not None]
    names = {file.name.value for _, file in files}
    if len(files) != len(_TLS_KEYS) or len(names) != 1 or {file.type for _, file in files} - {"secret", "cert"}:
        draft.lose(pair[0].node, "tls.crt and tls.key are not of one certificate", "write an entry of data for each")
        return
    for item, file in files:
        if file.type == "cert":
            item.node.remark("tls.crt has the chain, too, with the leaf first", "there is nothing to do")
    _, file = files[0]
    fields: dict[str, Any] = {"certificate": file.name}
    if file.version is not None:
        fields["version"] = file.version
    draft.data_from.append(At(fields, pair[0].node.place))
