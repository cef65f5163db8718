"""The demo: a secret is synced, rotated, deleted and recovered on a real control plane, by commands that users type."""
