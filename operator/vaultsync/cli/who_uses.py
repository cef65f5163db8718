"""`vaultsync who-uses VAULT [SECRET]`: which VaultSecrets read a vault, or a secret of it, and which pods use them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from vaultsync.adapters.kube.reader import PODS, VAULTSECRETS, Denied
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import InvalidSpec, VaultSecret, VaultSecretMeta
from vaultsync.cli.output import Cell, Row, Style
from vaultsync.cli.session import Session
from vaultsync.state.globs import matches, omitter
from vaultsync.state.requests import named_secrets, searches
from vaultsync.texts import listed

TITLES: Final = ("NAMESPACE", "VAULTSECRET", "SECRET", "KEYS", "PODS")


@dataclass(frozen=True, slots=True)
class Use:
    """A VaultSecret that reads the vault, and the Secret that it writes."""

    key: ObjectKey
    target: ObjectKey
    keys: tuple[str, ...]
    """The keys that hold the secret, or all of them; empty while nothing was written."""
    is_search: bool
    """Whether only a search may find the secret, and has not yet."""


def is_vault(vault_url: str, named: str) -> bool:
    """Return whether a URL is that of the vault with a name, a host or a URL."""
    wanted = named.lower().rstrip("/")
    try:
        parts = urlsplit(vault_url.lower())
    except ValueError:
        return False  # an older CustomResourceDefinition may accept any text
    host = parts.hostname or ""
    return wanted in {vault_url.lower().rstrip("/"), host, host.partition(".")[0], parts.netloc}


def use_of(body: Mapping[str, Any], vault: str, secret: str | None) -> Use | None:
    """Return how a VaultSecret uses a vault, or a secret of it; None if it does not."""
    spec = body.get("spec")
    url = spec.get("vaultUrl") if isinstance(spec, Mapping) else None
    if not isinstance(url, str) or not is_vault(url, vault):
        return None
    meta = VaultSecretMeta.parse(body)
    wanted = None if secret is None else secret.lower()
    keys = tuple(entry.key for entry in meta.status.entries if wanted in {None, entry.secret_name.lower()})
    try:
        parsed = VaultSecret.parse(body)
    except InvalidSpec:
        # It still has the Secret that it wrote before.
        target = meta.status.target
        name = meta.metadata.name if target is None else target.name
        return Use(meta.key, ObjectKey(meta.key.namespace, name), keys, is_search=False) if keys else None
    if wanted is None or keys:
        return Use(meta.key, parsed.target_key, keys, is_search=False)
    if any(request.ref.name.lower() == wanted for request in named_secrets(parsed.spec)):
        return Use(meta.key, parsed.target_key, (), is_search=False)
    found = any(matches(one.names, wanted) and not omitter(one.omit)(wanted) for one in searches(parsed.spec))
    return Use(meta.key, parsed.target_key, (), is_search=True) if found else None


def secrets_of_pod(pod: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the Secrets that a pod mounts, takes variables from, or pulls images with."""
    spec = pod.get("spec") or {}
    for volume in spec.get("volumes") or ():
        yield (volume.get("secret") or {}).get("secretName", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield (source.get("secret") or {}).get("name", "")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _secrets_of_container(container)
    for reference in spec.get("imagePullSecrets") or ():
        yield reference.get("name", "")


def _secrets_of_container(container: Mapping[str, Any]) -> Iterator[str]:
    for source in container.get("envFrom") or ():
        yield (source.get("secretRef") or {}).get("name", "")
    for variable in container.get("env") or ():
        yield ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", "")


def pods_by_secret(pods: Iterable[tuple[ObjectKey, frozenset[str]]]) -> Mapping[ObjectKey, list[str]]:
    """Return the names of the pods that use each Secret."""
    by_secret: defaultdict[ObjectKey, list[str]] = defaultdict(list)
    for pod, secrets in pods:
        for name in secrets:
            by_secret[ObjectKey(pod.namespace, name)].append(pod.name)
    return by_secret


async def who_uses(session: Session) -> int:
    """Print the VaultSecrets that use a vault or a secret, their Secrets and pods."""
    options, namespace = session.options, session.namespace
    found, _ = await session.cluster.list(
        VAULTSECRETS, namespace, lambda body: use_of(body, options.vault, options.secret)
    )
    uses = sorted((use for use in found if use is not None), key=lambda use: use.key)
    pods, denied = await _pods(session, {use.key.namespace for use in uses})
    if options.output == "json":
        session.output.json({"items": [_document(use, pods) for use in uses], "unseen": [str(one) for one in denied]})
        return 0
    if not uses:
        what = f"vault {options.vault}" if options.secret is None else f"secret {options.secret} of {options.vault}"
        session.output.line(Cell(f"No VaultSecret uses {what}."))
        return 0
    session.output.table(TITLES, [row(use, pods) for use in uses])
    for one in denied:
        text = f"Pods are not shown for all: {one.message} The right `{one.right}` shows them."
        session.output.line(Cell(text, Style.WARNING))
    return 0


async def _pods(session: Session, namespaces: Iterable[str]) -> tuple[Mapping[ObjectKey, list[str]], list[Denied]]:
    pods: list[tuple[ObjectKey, frozenset[str]]] = []
    denied: list[Denied] = []
    for namespace in sorted(namespaces):
        try:
            found, _ = await session.cluster.list(PODS, namespace, _pod)
        except Denied as error:
            denied.append(error)
        else:
            pods += found
    return pods_by_secret(pods), denied


def _pod(body: Mapping[str, Any]) -> tuple[ObjectKey, frozenset[str]]:
    metadata = body["metadata"]
    return ObjectKey(metadata["namespace"], metadata["name"]), frozenset(secrets_of_pod(body)) - {""}


def row(use: Use, pods: Mapping[ObjectKey, list[str]]) -> Row:
    """Return the row of the table."""
    keys = listed(use.keys) or ("(if its search finds it)" if use.is_search else "(nothing written yet)")
    names = listed(sorted(pods.get(use.target, ())))
    return [Cell(text) for text in (use.key.namespace, use.key.name, use.target.name, keys, names or "-")]


def _document(use: Use, pods: Mapping[ObjectKey, list[str]]) -> dict[str, Any]:
    return {
        "namespace": use.key.namespace,
        "vaultSecret": use.key.name,
        "secret": use.target.name,
        "keys": list(use.keys),
        "isSearch": use.is_search,
        "pods": sorted(pods.get(use.target, ())),
    }
