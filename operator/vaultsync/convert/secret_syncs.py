"""SecretSync of secrets-store-sync-controller, with the SecretProviderClass that it names.

https://secrets-store-sync-controller.sigs.k8s.io
"""

from collections.abc import Iterator, Mapping
from typing import Final

from vaultsync.convert.drafts import Draft
from vaultsync.convert.objects import Object
from vaultsync.convert.provider_classes import ProviderClass, fill, items_of

PEER: Final = "secrets-store-sync-controller"
PAGE: Final = "secrets-store-sync-controller.md"


def convert(source: Object, classes: Mapping[tuple[str, str], ProviderClass | None]) -> Iterator[Draft]:
    """Yield the VaultSecret of a SecretSync."""
    spec = source.spec
    secret = None if spec is None else spec.child("secretObject")
    name = None if spec is None else spec.child("secretProviderClassName")
    if spec is None or secret is None or name is None:
        source.node.report("it needs secretProviderClassName and secretObject", "complete it")
        return
    for field, reason, advice in (
        ("secretSyncControllerName", "vaultsync has no classes of controllers", "remove it"),
        (
            "forceSynchronization",
            "vaultsync refreshes on request by an annotation",
            "set vaultsync.dev/refresh-now: docs/changes.md#refresh-now",
        ),
    ):
        setting = spec.child(field)
        if setting is not None and setting.text():
            setting.report(reason, advice)
    provider_class = classes.get((source.namespace, name.text()))
    if provider_class is None:
        name.report(
            f"the input does not have SecretProviderClass {name.text()} of Azure, so this is not converted",
            "convert it together with that one",
        )
        source.node.mark()
        return
    provider_class.is_synced = True
    identity = provider_class.identity(spec.text_of("serviceAccountName"))
    draft = Draft(
        source.node, [str(source)], PEER, PAGE, source.name, source.namespace, provider_class.vault_url, identity
    )
    draft.labels, draft.annotations = dict(source.labels), dict(source.annotations)
    fill(draft, provider_class, secret, items_of(secret, file="sourcePath", key="targetKey"))
    yield draft
