"""vaultsync keeps Azure Key Vault secrets in Kubernetes Secrets; this module holds the version and nothing else."""

__version__ = "0.1.0"
