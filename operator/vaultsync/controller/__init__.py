"""The work queue and the reconcile of one VaultSecret."""
