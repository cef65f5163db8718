"""Renders the target of a reconcile, with the work of other processes in between; writes nothing to the cluster."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from vaultsync.errors import StillBusy, SyncError
from vaultsync.interfaces import Certificates
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.ownership import creates
from vaultsync.policy.plan import known_expiries
from vaultsync.render.certificate_requests import chain_warning, chain_warnings
from vaultsync.render.entries import certificate_requests
from vaultsync.render.manifest import (
    certificate_data,
    key_data,
    password_requests,
    render_secret,
    with_data,
    with_expiries,
)
from vaultsync.state.desired import Desired
from vaultsync.state.secrets import Readings


async def render_target(workers: Certificates, inputs: Inputs, readings: Readings, *, is_kept: bool) -> Desired:
    """Render the Secret; certificates, keys and passwords are for a process where that delays no others.

    `is_kept` is whether keys are kept as the target has them, by the spec that filled them.
    """
    vault_secret, created = inputs.vault_secret, creates(inputs.vault_secret, inputs.target)
    namespace, target = vault_secret.key.namespace, vault_secret.target_key
    requests = certificate_requests(vault_secret.spec, readings)
    asked = tuple(requests.values())
    converted = await workers.convert(namespace, asked)
    files = {index: one.files for index, one in zip(requests, converted, strict=True)}
    passwords = password_requests(vault_secret, readings, inputs.view, files)
    hashed = await workers.hash_passwords(namespace, passwords, target=str(target))
    hashes = dict(zip(passwords, hashed, strict=True))
    content = inputs.holder.spec_content if is_kept and inputs.holder is not None else None
    desired = render_secret(vault_secret, readings, inputs.view, files, hashes, created=created, spec_content=content)
    desired = replace(desired, warnings=chain_warnings(asked, converted))
    if keys := key_data(desired):
        secret_type = vault_secret.spec.target.type
        done = await workers.normalize(namespace, secret_type, keys, target=str(target))
        desired = with_data(desired, target, done.files)
        if done.lacks_issuers and not asked:
            desired = replace(desired, warnings=(chain_warning("Key tls.crt"),))
    return with_expiries(desired, await _expiries(workers, inputs, desired))


async def _expiries(workers: Certificates, inputs: Inputs, desired: Desired) -> Mapping[str, datetime]:
    """Return when the certificates in the data expire; what cannot be read is synced nevertheless."""
    contents = certificate_data(desired)
    if not contents:
        return {}
    key, target = inputs.vault_secret.key, inputs.vault_secret.target_key
    try:
        return await workers.expiries(key.namespace, contents, target=str(target))
    except StillBusy:
        raise
    except SyncError:
        return known_expiries(inputs.plan, desired.secrets)
