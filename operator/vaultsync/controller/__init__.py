"""The work queue, and the reconcile of one VaultSecret; watches and polls nothing."""
