"""Adapters: each module, or package, wraps one external library, and translates its failures to `SyncError`."""
