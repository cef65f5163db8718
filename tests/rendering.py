"""All of rendering within the process of the test: what the operator gives to certificate workers included."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import SyncError
from vaultsync.render.certificate_files import certificate_files
from vaultsync.render.certificate_requests import CertificateRequest, Conversion, check_size
from vaultsync.render.entries import certificate_requests
from vaultsync.render.expiry import certificate_expiries
from vaultsync.render.manifest import key_data, render_secret, with_data
from vaultsync.render.password_hashes import password_hashes
from vaultsync.render.passwords import PasswordRequest
from vaultsync.render.type_checks import lacks_issuers, normalized_data
from vaultsync.state.desired import Desired
from vaultsync.state.secrets import Readings
from vaultsync.state.vaults import VaultView


class LocalCertificates:
    """Takes the place of certificate workers, for tests that are not about them."""

    def __init__(self) -> None:
        self.refusal: SyncError | None = None
        """What is raised in place of work."""
        self.jobs = 0

    def _begin(self) -> None:
        self.jobs += 1
        if self.refusal is not None:
            raise self.refusal

    async def convert(self, namespace: str, requests: Sequence[CertificateRequest]) -> list[Conversion]:
        """Return the files of each certificate."""
        if requests:
            self._begin()
            check_size(requests)
        return certificate_files(requests)

    async def normalize(
        self, namespace: str, secret_type: str, data: Mapping[str, bytes], *, target: str
    ) -> Conversion:
        """Return data that are keys as the readers of their type accept them."""
        self._begin()
        normalized = normalized_data(secret_type, data, target=target)
        return Conversion(normalized, lacks_issuers(secret_type, normalized))

    async def hash_passwords(self, namespace: str, requests: Sequence[PasswordRequest], *, target: str) -> list[str]:
        """Return the hash of each password."""
        if requests:
            self._begin()
        return password_hashes(requests)

    async def expiries(self, namespace: str, data: Mapping[str, bytes], *, target: str) -> dict[str, datetime]:
        """Return when certificates expire."""
        self._begin()
        return certificate_expiries(data)


def rendered(vault_secret: VaultSecret, readings: Readings, view: VaultView) -> Desired:
    """Render a Secret with its certificates, and normalize its data."""
    requests = certificate_requests(vault_secret.spec, readings)
    converted = certificate_files(tuple(requests.values()))
    certificates = {index: one.files for index, one in zip(requests, converted, strict=True)}
    desired = render_secret(vault_secret, readings, view, certificates)
    if not (keys := key_data(desired)):
        return desired
    target = vault_secret.target_key
    return with_data(desired, target, normalized_data(vault_secret.spec.target.type, keys, target=str(target)))
