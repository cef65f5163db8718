"""ExternalSecret and ClusterExternalSecret of External Secrets, v1 and v1beta1; PushSecret has no counterpart.

https://external-secrets.io/latest/api/externalsecret/
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from vaultsync.convert import targets, timing
from vaultsync.convert.drafts import At, Draft
from vaultsync.convert.nodes import Node
from vaultsync.convert.objects import Object, texts
from vaultsync.convert.patterns import Naming, glob_of
from vaultsync.convert.secret_stores import STORE, Store, Stores

PEER: Final = "External Secrets"
PAGE: Final = "external-secrets.md"

_PLAIN_PATH: Final = re.compile(r"[^\\|#@*?{}\[\]()!=<>%~/.\s\"']+(?:\.[^\\|#@*?{}\[\]()!=<>%~/.\s\"']+)*")
_LITERAL_PATH: Final = re.compile(
    r"(?:\\\.|[^\\|#@*?{}\[\]()!=<>%~/.\s\"'])+(?:\.(?:\\\.|[^\\|#@*?{}\[\]()!=<>%~/.\s\"'])+)*"
)


class ExternalSecrets:
    """Converts ExternalSecrets, whose stores are known."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def external_secret(self, source: Object) -> Iterator[Draft]:
        """Yield the VaultSecret of an ExternalSecret."""
        if "ClusterExternalSecret" in source.owner_kinds:
            source.node.report("a ClusterExternalSecret has made it", "convert that one")
            return
        spec = source.spec
        if spec is None:
            source.node.report("it has no spec", "complete it")
            return
        yield from self._draft(source, spec, source.name, source.namespace, source.labels, source.annotations)

    def cluster_external_secret(self, source: Object) -> Iterator[Draft]:
        """Yield a VaultSecret for each namespace that a ClusterExternalSecret names."""
        outer = source.spec
        spec = None if outer is None else outer.child("externalSecretSpec")
        if outer is None or spec is None:
            source.node.report("it has no externalSecretSpec", "complete it")
            return
        name = outer.text_of("externalSecretName") or source.name
        metadata = outer.child("externalSecretMetadata")
        labels = {} if metadata is None else texts(metadata.map_of("labels"))
        annotations = {} if metadata is None else texts(metadata.map_of("annotations"))
        namespaces = [namespace.text() for namespace in outer.items_of("namespaces")]
        for field in ("namespaceSelector", "namespaceSelectors"):
            selector = outer.child(field)
            if selector is not None:
                selector.report(
                    "a VaultSecret is for one namespace",
                    "write one into each namespace, as Kustomize and ApplicationSets do; a VaultGrant may select "
                    "namespaces by labels",
                )
        refresh = outer.child("refreshTime")
        if refresh is not None:
            refresh.report("there is no list of namespaces to refresh", "there is nothing to set")
        if not namespaces:
            source.node.report("it names no namespaces", "give it namespaces, and convert it again")
        for namespace in namespaces:
            yield from self._draft(source, spec, name, namespace, labels, annotations)

    def push_secret(self, source: Object) -> None:
        """Report a PushSecret."""
        source.node.report("vaultsync writes nothing to a vault", "keep External Secrets for it, or use a pipeline")

    def _draft(
        self,
        source: Object,
        spec: Node,
        name: str,
        namespace: str,
        labels: dict[str, At],
        annotations: dict[str, At],
    ) -> Iterator[Draft]:
        store = self._store(source, spec, namespace)
        if store is None:
            source.node.mark()
            return
        draft = Draft(source.node, [str(source)], PEER, PAGE, name, namespace, store.vault_url, store.identity)
        draft.labels, draft.annotations = dict(labels), dict(annotations)
        timing.convert(draft, spec)
        for entry in spec.items_of("data"):
            self._entry(draft, entry, namespace, store)
        for item in spec.items_of("dataFrom"):
            self._item(draft, item, namespace, store)
        target = spec.child("target")
        copied = Object.target_labels(source) if labels is source.labels else labels
        if target is None or target.child("template") is None:
            draft.target.update(
                {key: value for key, value in (("labels", copied), ("annotations", annotations)) if value}
            )
        if target is not None:
            targets.convert(draft, target)
        yield draft

    def _store(self, source: Object, spec: Node, namespace: str) -> Store | None:
        reference = spec.child("secretStoreRef") or _first_store(spec)
        if reference is None:
            source.node.report("it has no secretStoreRef", "complete it")
            return None
        kind, name = reference.text_of("kind", STORE), reference.text_of("name")
        try:
            store = self._stores.find(kind, namespace, name)
        except KeyError:
            reference.report(
                f"the input does not have {kind} {name}, which has the vault's URL, so this is not converted",
                "convert it together with the store",
            )
            return None
        if store is None:
            reference.report(f"{kind} {name} is not an Azure Key Vault, so this is not converted", "leave it as it is")
        elif not store.is_for(namespace):
            reference.report(
                f"{kind} {name} is not for namespace {namespace}, so this is not converted",
                "let the conditions of the store have the namespace",
            )
            return None
        return store

    def _other_source(self, draft: Draft, item: Node, namespace: str, store: Store) -> bool:
        """Report a source that is not the store of the whole; return whether there is one."""
        source = item.child("sourceRef")
        if source is None:
            return False
        generator, reference = source.child("generatorRef"), source.child("storeRef")
        if generator is not None:
            draft.lose(item, "vaultsync generates no values", "keep External Secrets for it, in a Secret of its own")
            return True
        if reference is None:
            return False
        kind, name = reference.text_of("kind", STORE), reference.text_of("name")
        try:
            other = self._stores.find(kind, namespace, name)
        except KeyError:
            other = None
        if (
            other is not None
            and (other.vault_url, other.identity) == (store.vault_url, store.identity)
            and other.is_for(namespace)
        ):
            return False
        draft.lose(item, "a VaultSecret reads one vault, with one identity", "write a VaultSecret for each vault")
        return True

    def _entry(self, draft: Draft, entry: Node, namespace: str, store: Store) -> None:
        if self._other_source(draft, entry, namespace, store):
            return
        remote = entry.child("remoteRef")
        key = entry.child("secretKey")
        if remote is None or key is None:
            draft.lose(entry, "it needs secretKey and remoteRef", "complete it")
            return
        secret = _secret_name(draft, entry, remote)
        if secret is None:
            return
        fields: dict[str, Any] = {"key": At(key.text(), key.place), "secretName": secret}
        fields.update(_version(remote))
        fields.update(_property(draft, remote))
        fields.update(_decoding(draft, remote))
        # Keys of `data` are what they are: nothing converts them.
        remote.ignore("conversionStrategy")
        draft.data.append(At(fields, entry.place))

    def _item(self, draft: Draft, item: Node, namespace: str, store: Store) -> None:
        if self._other_source(draft, item, namespace, store):
            return
        extract, find = item.child("extract"), item.child("find")
        if (extract is None) == (find is None):
            draft.lose(item, "it needs either extract or find", "complete it")
            return
        source = extract if extract is not None else find
        assert source is not None
        fields = _object(draft, item, source) if extract is not None else _search(draft, source)
        if fields is None:
            return
        fields.update(_decoding(draft, source))
        fields.update(_naming(draft, item, is_search=extract is None))
        draft.data_from.append(At(fields, item.place))


def _first_store(spec: Node) -> Node | None:
    """Return the store of the first item that has one of its own."""
    for item in (*spec.items_of("data"), *spec.items_of("dataFrom")):
        source = item.child("sourceRef")
        reference = None if source is None else source.child("storeRef")
        if reference is not None:
            return reference
    return None


def _secret_name(draft: Draft, entry: Node, remote: Node) -> At | None:
    """Return the name of the vault's secret, whose kind may come before it."""
    key = remote.child("key")
    if key is None:
        draft.lose(entry, "it has no key", "complete it")
        return None
    kind, _, name = key.text().rpartition("/")
    match kind:
        case "" | "secret":
            pass
        case "cert":
            draft.lose(
                entry,
                "External Secrets writes the public part of a certificate as DER, which vaultsync does not",
                f"use dataFrom with certificate: {name}, whose tls.crt has the chain in PEM",
            )
            return None
        case "key":
            draft.lose(entry, "vaultsync reads secrets, not keys", "store the public key as a secret")
            return None
        case _:
            draft.lose(entry, f"{key.text()} is not the name of a secret", "write secret/ and the name")
            return None
    policy = remote.child("metadataPolicy")
    if policy is not None and policy.text() != "None":
        draft.lose(
            entry,
            "tags become labels and annotations of the Secret, not keys",
            "use target.metadataFrom: docs/templates.md#labels-and-annotations",
        )
        return None
    nulls = remote.child("nullBytePolicy")
    if nulls is not None and nulls.text() != "Ignore":
        nulls.report("vaultsync does not look for null bytes", "there is nothing to set")
    return At(name, key.place)


def _version(remote: Node) -> dict[str, At]:
    version = remote.child("version")
    return {"version": At(version.text(), version.place)} if version is not None and version.text() else {}


def _property(draft: Draft, remote: Node) -> dict[str, At]:
    child = remote.child("property")
    if child is None or not child.text():
        return {}
    path = child.text()
    if _PLAIN_PATH.fullmatch(path):
        return {"property": At(path, child.place)}
    if _LITERAL_PATH.fullmatch(path):
        steps = re.split(r"(?<!\\)\.", path)
        return {
            "property": At("".join("/" + step.replace("\\.", ".").replace("~", "~0") for step in steps), child.place)
        }
    draft.lose(child, "this is more than names and indexes", "write a path such as hosts.0.name, or a JSON pointer")
    return {}


def _decoding(draft: Draft, remote: Node) -> dict[str, At]:
    strategy = remote.child("decodingStrategy")
    match None if strategy is None else strategy.text():
        case None | "" | "None":
            return {}
        case "Base64" if strategy is not None:
            return {"encoding": At("Base64", strategy.place)}
        case "Auto" if strategy is not None:
            draft.lose(
                strategy, "vaultsync does not guess whether a value is base64", "write encoding: Base64 or nothing"
            )
        case _ if strategy is not None:
            draft.lose(strategy, "there is no such encoding", "store the value as base64 or hex")
    return {}


def _object(draft: Draft, item: Node, extract: Node) -> dict[str, Any] | None:
    name = _secret_name(draft, item, extract)
    if name is None:
        return None
    part = extract.child("property")
    if part is not None and part.text():
        draft.lose(part, "object reads all fields of the value, not those of a part", "write an entry of data for each")
    strategy = extract.child("conversionStrategy")
    if strategy is not None and strategy.text() not in {"Default", ""}:
        strategy.report("names that are no keys of a Secret are not converted", "write single names into keys")
    return {"object": name, **_version(extract)}


def _search(draft: Draft, find: Node) -> dict[str, Any] | None:
    # A name of a vault's secret is a key as it is.
    find.ignore("conversionStrategy")
    nulls, path = find.child("nullBytePolicy"), find.child("path")
    if nulls is not None and nulls.text() != "Ignore":
        nulls.report("vaultsync does not look for null bytes", "there is nothing to set")
    if path is not None:
        path.report("a vault has no paths", "there is nothing to set")
    tags = texts(find.map_of("tags"))
    name = find.child("name")
    expression = None if name is None else name.child("regexp")
    search: dict[str, Any] = {}
    if expression is not None and expression.text():
        glob = glob_of(expression.text())
        if glob is None:
            draft.lose(
                expression, "find has the wildcards * and ?, no regular expressions", "write an item for each pattern"
            )
            return None
        search["names"] = At(glob, expression.place)
    elif not tags:
        search["names"] = "*"
    if tags:
        search["tags"] = tags
    return {"find": search}


def _naming(draft: Draft, item: Node, *, is_search: bool) -> dict[str, str]:
    naming = Naming()
    for rule in item.items_of("rewrite"):
        expression, transform = rule.child("regexp"), rule.child("transform")
        done = False
        if expression is not None:
            done = naming.add_regexp(expression.text_of("source"), expression.text_of("target"))
        elif transform is not None:
            done = naming.add_transform(transform.text_of("template"), names_have_hyphens_only=is_search)
        if not done:
            draft.lose(
                rule,
                "this has no counterpart in rename, keyCase and prefix",
                "see docs/guide.md#keys-that-are-environment-variables",
            )
    return naming.fields()
