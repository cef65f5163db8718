"""What is reported about a VaultSecret: outcomes, conditions, status and events; pure functions."""
