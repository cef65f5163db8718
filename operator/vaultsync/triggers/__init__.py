"""Why a reconcile starts: a VaultSecret, a target or a vault has changed; and the queue in which keys wait."""
