"""AzureKeyVaultSecret of akv2k8s, v1 to v2beta1: one object of a vault; several may share one Secret.

https://akv2k8s.io/reference/azure-key-vault-secret/
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vaultsync.convert.drafts import At, Draft, Identity
from vaultsync.convert.nodes import Node
from vaultsync.convert.objects import Object
from vaultsync.convert.vaults import IDENTITY_NEEDED, UNKNOWN_IDENTITY

PEER: Final = "akv2k8s"
PAGE: Final = "akv2k8s.md"

_KEYS: Final[Mapping[str, str]] = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/ssh-auth": "ssh-privatekey",
}
"""The key that a secret has in a Secret of this type, whatever dataKey says."""

_FORMATS: Final[Mapping[str, str | None]] = {"application/x-json": None, "application/x-yaml": "YAML"}
_TRANSFORMS: Final[Mapping[str, str]] = {"trim": "strip", "base64encode": "b64encode", "base64decode": "b64decode"}
_SOURCE_SUFFIX: Final = ".value"


@dataclass(frozen=True, slots=True)
class _Output:
    """What becomes of a vault's object in the Secret."""

    draft: Draft
    object: Node
    name: At
    output: Node
    type: str

    def source(self, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  fields of an item
        """Return an item with the version, if it is pinned."""
        version = self.object.child("version")
        if version is None or not version.text():
            return fields
        return {**fields, "version": At(version.text(), version.place)}


def convert(sources: Iterable[Object], suffix: str) -> Iterator[Draft]:
    """Yield a VaultSecret for each Secret that the objects write."""
    shared: defaultdict[tuple[str, str], list[Draft]] = defaultdict(list)
    for source in sources:
        draft = _draft(source, suffix)
        if draft is not None:
            shared[draft.namespace, draft.target_name].append(draft)
    for drafts in shared.values():
        yield _merged(drafts)


def _draft(source: Object, suffix: str) -> Draft | None:
    spec = source.spec
    vault = None if spec is None else spec.child("vault")
    thing = None if vault is None else vault.child("object")
    if spec is None or vault is None or thing is None:
        source.node.report("it needs spec.vault and spec.vault.object", "complete it")
        return None
    outer = spec.child("output")
    output = None if outer is None else outer.child("secret")
    if outer is None or output is None:
        source.node.report(
            "without output.secret it is for the injection of variables, which vaultsync does not do",
            "give it output.secret, and let pods use the Secret with envFrom or secretKeyRef",
        )
        return None
    config_map = outer.child("configMap")
    if config_map is not None:
        config_map.report("vaultsync writes Secrets only", "let pods use the Secret")
    identity = vault.child("azureIdentity")
    if identity is not None:
        identity.report("identities belong to the VaultGrant", IDENTITY_NEEDED)
    draft = Draft(
        source.node,
        [str(source)],
        PEER,
        PAGE,
        source.name,
        source.namespace,
        f"https://{vault.text_of('name')}.{suffix}",
        Identity() if identity is None else UNKNOWN_IDENTITY,
    )
    draft.labels, draft.annotations = dict(source.labels), dict(source.annotations)
    labels = source.target_labels()
    draft.target.update(
        {key: value for key, value in (("labels", labels), ("annotations", source.annotations)) if value}
    )
    name, kind = output.child("name"), output.child("type")
    if name is not None and name.text() not in {"", source.name}:
        draft.target["name"] = At(name.text(), name.place)
    if kind is not None and kind.text() not in {"", "Opaque"}:
        draft.target["type"] = At(kind.text(), kind.place)
    # The leaf always comes first.
    output.ignore("chainOrder")
    _object(_Output(draft, thing, _name(thing), output, "" if kind is None else kind.text()), outer)
    return draft


def _name(thing: Node) -> At:
    name = thing.child("name")
    return At("", thing.place) if name is None else At(name.text(), name.place)


def _object(output: _Output, outer: Node) -> None:
    kind = output.object.child("type")
    convert_ = _TYPES.get("" if kind is None else kind.text())
    if convert_ is None:
        output.draft.lose(output.object, "vaultsync reads secrets, not keys", "store the public key as a secret")
        return
    transforms = [] if outer.child("transform") is None else outer.items_of("transform")
    convert_(output, transforms)


def _secret(output: _Output, transforms: list[Node]) -> None:
    content_type = output.object.child("contentType")
    if content_type is not None:
        content_type.report("akv2k8s uses it for multi-key-value-secret only", "remove it")
    key = output.output.child("dataKey")
    match output.type:
        case "kubernetes.io/tls":
            _certificate(output, transforms)
            return
        case "kubernetes.io/basic-auth":
            _unused(key)
            _login(output, transforms)
            return
        case kind if kind in _KEYS:
            _unused(key)
            place = output.output.place if key is None else key.place
            _entry(output, At(_KEYS[kind], place), transforms)
        case _ if key is None:
            output.draft.lose(output.output, "it has no dataKey", "complete it")
        case _:
            _entry(output, At(key.text(), key.place), transforms)


def _entry(output: _Output, key: At, transforms: list[Node]) -> None:
    """Add an entry; what changes its text is a template over a key of its own."""
    steps = [transform.text() for transform in transforms]
    if not steps:
        output.draft.data.append(At(output.source(key=key, secretName=output.name), output.object.place))
        return
    if steps == ["base64decode"]:
        encoding = At("Base64", transforms[0].place)
        output.draft.data.append(
            At(output.source(key=key, secretName=output.name, encoding=encoding), output.object.place)
        )
        return
    if not set(steps) <= _TRANSFORMS.keys():
        output.draft.lose(transforms[0], "there is no such transformation", "write a template: docs/templates.md")
        return
    raw = f"{key.value}{_SOURCE_SUFFIX}"
    filters = " | ".join(_TRANSFORMS[step] for step in steps)
    output.draft.data.append(At(output.source(key=raw, secretName=output.name), output.object.place))
    output.draft.target["template"] = {key.value: At(f'{{{{ entries["{raw}"] | {filters} }}}}', key.place)}
    transforms[0].report(
        f"the Secret also has the key that the template uses: {raw}", "pods that must not see it can select keys"
    )


def _login(output: _Output, transforms: list[Node]) -> None:
    for transform in transforms:
        output.draft.lose(transform, "the parts of a login are not transformed", "write a template: docs/templates.md")
    output.draft.data.append(At(output.source(key="login", secretName=output.name), output.object.place))
    output.draft.target["template"] = {
        "username": '{{ login | split: ":" | first }}',
        "password": '{{ login | split: ":" | last }}',
    }
    output.output.remark(
        "the Secret also has the key that the templates of username and password use: login",
        "pods that must not see it can select keys",
    )


def _certificate(output: _Output, transforms: list[Node]) -> None:
    for transform in transforms:
        output.draft.lose(transform, "a certificate is not transformed", "store it as it is")
    key = output.output.child("dataKey")
    if output.type != "kubernetes.io/tls":
        output.draft.lose(
            output.object,
            "vaultsync writes certificates as tls.crt and tls.key",
            f"use dataFrom with certificate: {output.name.value}",
        )
        return
    _unused(key)
    output.draft.data_from.append(At(output.source(certificate=output.name), output.object.place))


def _fields(output: _Output, transforms: list[Node]) -> None:
    _unused(output.output.child("dataKey"))
    for transform in transforms:
        transform.report("akv2k8s transforms no fields of an object", "remove it")
    content_type = output.object.child("contentType")
    text = "" if content_type is None else content_type.text()
    if text not in _FORMATS:
        output.draft.lose(output.object, "contentType says neither JSON nor YAML", "complete it")
        return
    assert content_type is not None
    fields = output.source(object=output.name)
    if _FORMATS[text] is not None:
        fields["format"] = At(_FORMATS[text], content_type.place)
    output.draft.data_from.append(At(fields, output.object.place))


_TYPES: Final[Mapping[str, Callable[[_Output, list[Node]], None]]] = {
    "secret": _secret,
    "certificate": _certificate,
    "multi-key-value-secret": _fields,
}


def _unused(key: Node | None) -> None:
    if key is not None and key.text():
        key.report("akv2k8s ignores it for this type", "remove it")


def _merged(drafts: list[Draft]) -> Draft:
    """Return one VaultSecret for all that write one Secret, which has its name."""
    first, *others = drafts
    for other in others:
        if (other.vault_url, other.identity) != (first.vault_url, first.identity):
            other.origin.report(
                f"Secret {first.target_name} has keys of several vaults or identities, and a VaultSecret has one",
                "write a VaultSecret and a Secret for each vault, and let pods use both",
            )
            first.is_complete = False
            continue
        first.sources += other.sources
        first.data += other.data
        first.data_from += other.data_from
        first.is_complete &= other.is_complete
        for name, value in other.target.items():
            if isinstance(value, dict):
                first.target[name] = {**value, **first.target.get(name, {})}
            else:
                first.target.setdefault(name, value)
        for mine, its in ((first.labels, other.labels), (first.annotations, other.annotations)):
            mine.update({key: value for key, value in its.items() if key not in mine})
    if others:
        first.name = first.target_name
        first.target.pop("name", None)
    return first
