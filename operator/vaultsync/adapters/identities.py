"""Who the operator is to Azure: azure-identity's credentials; knows no vault.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.aio.defaultazurecredential
"""

from azure.identity.aio import DefaultAzureCredential


def own_identity() -> DefaultAzureCredential:
    """The operator's own identity, found by the environment: workload identity, managed identity or a client secret.

    Ways that ask a person or a developer's tools are left out: in a cluster they could only fail, slowly.
    """
    return DefaultAzureCredential(
        exclude_developer_cli_credential=True,
        exclude_cli_credential=True,
        exclude_powershell_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
    )
