"""What is reported about a VaultSecret: outcomes, conditions, events; pure functions."""
