"""A client library for Azure Key Vault secrets, sync and async; this module holds the public names and nothing else."""
