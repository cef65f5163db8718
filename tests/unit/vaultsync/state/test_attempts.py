"""What is kept of failed reconciles: one per VaultSecret, and only for the access that it had."""

from dataclasses import replace

from tests.builders import ACCESS, KEY, a_vault_secret
from vaultsync.state.attempts import Basis, FailedAttempt, FailedAttempts


def test_a_failure_counts_for_the_grant_vault_and_identity_that_it_had() -> None:
    attempts, attempt = FailedAttempts(), FailedAttempt(Basis.of(a_vault_secret(), None))
    attempts.put(KEY, ACCESS, attempt)

    assert attempts.get(KEY, ACCESS) is attempt
    assert attempts.get(KEY, replace(ACCESS, grant="another")) is None
    assert attempts.get(KEY, None) is None

    attempts.forget(KEY)
    assert attempts.get(KEY, ACCESS) is None
