"""Whether versions that were read are active yet; reads nothing."""

from vaultsync.errors import Reason, SyncError
from vaultsync.state.secrets import Reading, Readings


def check_active(readings: Readings, vault_url: str) -> None:
    """Refuse what is not to be used yet.

    The vault gives it whatever its dates say, which are for those who use it.
    https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes

    Raises:
        SyncError: SecretNotYetActive, to be tried again at that very moment.
    """
    for ref, reading in readings.items():
        if isinstance(reading, Reading) and reading.not_before is not None and reading.not_before > reading.read_at:
            raise SyncError(
                Reason.SECRET_NOT_YET_ACTIVE,
                f"Secret {ref.name} of vault {vault_url} has a version that is not to be used before "
                f"{reading.not_before:%Y-%m-%d %H:%M:%S} UTC; the Secret stays as it is until then.",
                retry_after=(reading.not_before - reading.read_at).total_seconds(),
            )
