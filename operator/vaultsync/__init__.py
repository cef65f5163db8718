"""vaultsync syncs Azure Key Vault secrets into Kubernetes Secrets; this module holds the version and nothing else."""

__version__ = "0.1.0"
