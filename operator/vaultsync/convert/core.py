"""The conversion as a whole: texts in; documents, findings and the exit code out. It reads no file."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vaultsync.api import ADOPT_BY_ANNOTATION
from vaultsync.convert import akv2k8s, provider_classes, secret_stores, secret_syncs
from vaultsync.convert.drafts import MISSING_NAMESPACE, Draft, size
from vaultsync.convert.external_secrets import ExternalSecrets
from vaultsync.convert.findings import Finding, UnusableInput
from vaultsync.convert.grants import Grant, grants_for
from vaultsync.convert.nodes import Findings
from vaultsync.convert.objects import Object, objects_in
from vaultsync.convert.reading import MAX_VALUES, Document, Reader
from vaultsync.convert.vaults import SUFFIXES
from vaultsync.convert.writing import Writer
from vaultsync.texts import one_line

CONVERTED: Final = 0
WITH_FINDINGS: Final = 1
UNUSABLE: Final = 2
"""Exit codes; the last one is also that of argparse."""

_FOR_WHOM: Final = "A VaultGrant is for whoever administers the cluster: docs/grants.md"

_ESO: Final = "external-secrets.io"
_CSI: Final = "secrets-store.csi.x-k8s.io"
_STABLE: Final = frozenset({"v1", "v1beta1"})

_CLUSTER_KINDS: Final = frozenset({secret_stores.CLUSTER_STORE, "ClusterExternalSecret"})
"""Those without a namespace."""

_VERSIONS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    (_ESO, "ExternalSecret"): _STABLE,
    (_ESO, "ClusterExternalSecret"): _STABLE,
    (_ESO, secret_stores.STORE): _STABLE,
    (_ESO, secret_stores.CLUSTER_STORE): _STABLE,
    (_ESO, "PushSecret"): frozenset({"v1alpha1"}),
    ("spv.no", "AzureKeyVaultSecret"): frozenset({"v1", "v2alpha1", "v2beta1"}),
    (_CSI, "SecretProviderClass"): frozenset({"v1", "v1alpha1"}),
    ("secret-sync.x-k8s.io", "SecretSync"): frozenset({"v1alpha1"}),
    ("", "ServiceAccount"): frozenset({"v1"}),
}
"""The kinds that are converted, and their versions, which do not differ in what is read."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the input does not say."""

    namespace: str = ""
    """That of objects without one."""
    vault_suffix: str = SUFFIXES[""]
    """The domain of vaults that are named without it."""
    adopt: bool = False
    """Whether the VaultSecrets take over Secrets that exist."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a run prints."""

    text: str
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """0: all is converted. 1: there are findings."""
        return WITH_FINDINGS if self.findings else CONVERTED


@dataclass(slots=True)
class _Input:
    """The objects of the input by kind, and the documents that they are of."""

    documents: list[Document] = field(default_factory=list)
    objects: defaultdict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))

    def add(self, document: Document, namespace: str) -> None:
        """Add the objects of a document; those of unknown kinds are findings."""
        self.documents.append(document)
        for one in objects_in(document.root, namespace):
            versions = _VERSIONS.get((one.group, one.kind))
            if versions is None:
                one.node.report(f"{one.kind} is no kind that is converted", "leave it as it is")
            elif one.version not in versions:
                one.node.report(
                    f"{one.kind} is converted from {' and '.join(sorted(versions))}",
                    "get it from the cluster as one of these",
                )
            else:
                self.objects[one.kind].append(one)
                if not (one.has_namespace or namespace or one.kind in _CLUSTER_KINDS):
                    one.node.remark(
                        f"it has no namespace, so {MISSING_NAMESPACE} is used", "say which with --namespace"
                    )


def convert(files: Mapping[str, str], options: Options) -> Conversion:
    """Convert the texts of files.

    Args:
        files: The texts by the names that findings show.
        options: What the input does not say.

    Raises:
        UnusableInput: The input is not YAML, or too large.
    """
    findings = Findings()
    reader = Reader(findings)
    given = _Input()
    for name, text in files.items():
        for document in reader.documents(name, text):
            given.add(document, options.namespace)
    drafts = list(_bounded(_drafts(given, options, reader)))
    for document in given.documents:
        for node in document.root.unread():
            node.report("this field has no counterpart, or is not known", "see docs/convert.md")
    usable = [draft for draft in drafts if _is_usable(draft)]
    if options.adopt:
        for draft in usable:
            draft.target["adopt"] = True
    text = _print(usable, given, reader, options)
    return Conversion(text, sorted(set(findings.found)))


def _drafts(given: _Input, options: Options, reader: Reader) -> Iterator[Draft]:
    objects = given.objects
    for account in objects["ServiceAccount"]:
        # Only its annotations count.
        account.node.mark()
    stores = secret_stores.read_stores(
        [*objects[secret_stores.STORE], *objects[secret_stores.CLUSTER_STORE]], objects["ServiceAccount"]
    )
    eso = ExternalSecrets(stores)
    for one in objects["ExternalSecret"]:
        yield from eso.external_secret(one)
    for one in objects["ClusterExternalSecret"]:
        yield from eso.cluster_external_secret(one)
    for one in objects["PushSecret"]:
        eso.push_secret(one)
    stores.report_unused()
    yield from akv2k8s.convert(objects["AzureKeyVaultSecret"], options.vault_suffix)
    classes = {
        (one.namespace, one.name): provider_classes.read(one, reader.within) for one in objects["SecretProviderClass"]
    }
    for one in objects["SecretSync"]:
        yield from secret_syncs.convert(one, classes)
    for provider_class in classes.values():
        if provider_class is not None:
            yield from provider_classes.convert(provider_class)
            provider_classes.report_files(provider_class)


def _bounded(drafts: Iterable[Draft]) -> Iterator[Draft]:
    """Yield drafts, as long as they have no more values than the input may have, some of whose values are in many.

    Raises:
        UnusableInput: There are more.
    """
    left = MAX_VALUES
    for draft in drafts:
        left -= size(draft.document())
        if left < 0:
            place = draft.origin.place
            raise UnusableInput(f"{place}: more than {MAX_VALUES} values in all VaultSecrets; convert fewer at a time")
        yield draft


def _is_usable(draft: Draft) -> bool:
    """Return whether the API server would accept the VaultSecret; report why not."""
    problem = draft.problem()
    if problem:
        draft.origin.remark(f"this is not converted, since the VaultSecret would be invalid ({problem})", "correct it")
    return not problem


def _print(drafts: Sequence[Draft], given: _Input, reader: Reader, options: Options) -> str:
    writer = Writer(reader)
    grants = [grant for grant in grants_for(drafts) if _is_valid(grant, drafts)]
    texts = [writer.print(writer.build(grant.document), _remarks([_FOR_WHOM, *grant.remarks])) for grant in grants]
    built = [(draft, writer.build(draft.document())) for draft in drafts]
    left = _left_comments(drafts, given, reader)
    for draft, document in built:
        texts.append(writer.print(document, [*left.pop(id(draft), []), *_remarks(_head(draft, options))]))
    return "---\n".join(["".join(f"#{line}\n" for line in left.pop(None, [])) + "".join(texts[:1]), *texts[1:]])


def _is_valid(grant: Grant, drafts: Sequence[Draft]) -> bool:
    problem = grant.problem()
    if problem:
        origin = next(draft.origin for draft in drafts if draft.vault_url == grant.document["spec"]["vaultUrl"])
        origin.remark(f"its VaultGrant would be invalid ({problem})", "write it yourself: docs/grants.md")
    return not problem


def _remarks(lines: Iterable[str]) -> list[str]:
    """Return lines of comments; names of the input may be in them."""
    return [f" {_in_one_line(line)}" for line in lines if line]


def _in_one_line(line: str) -> str:
    return line if line.isprintable() else one_line(line)


def _left_comments(drafts: Iterable[Draft], given: _Input, reader: Reader) -> dict[int | None, list[str]]:
    """Return the comments that belong to no field of the output, by the first draft of their document, if any."""
    left: dict[int | None, list[str]] = {}
    for document in given.documents:
        place = document.root.place
        comments = reader.comments(place.file).claim_between(document.first, document.end)
        if not comments:
            continue
        own = [
            draft
            for draft in drafts
            if draft.origin.place.file == place.file and document.first <= draft.origin.place.line < document.end
        ]
        left.setdefault(id(own[0]) if own else None, []).extend(comments)
    return left


def _head(draft: Draft, options: Options) -> Iterator[str]:
    yield from (f"From {source}" for source in draft.sources)
    if not draft.is_complete:
        yield "Suspended: findings say what is missing. Complete it, and remove suspend."
    secret = f"{draft.namespace}/{draft.target_name}"
    yield f"If {draft.peer} has written Secret {secret}, it stays as it is until it consents:"
    yield f"  kubectl annotate secret {draft.target_name} -n {draft.namespace} {ADOPT_BY_ANNOTATION}={draft.name}"
    needs = "" if options.adopt else " Convert with --adopt for that."
    yield f"docs/migrate/{draft.page} has the whole move, and the way back.{needs}"
