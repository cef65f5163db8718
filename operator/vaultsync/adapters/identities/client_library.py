"""The asynchronous half of azure-identity, without the HTTP of the other half; adds nothing to it.

It uses the token cache of msal, whose package imports requests and urllib3 for managed identities, which azure-identity
requests itself here: 6 MB. Whatever imports azure-identity imports it from here.
"""

from vaultsync.partial_imports import skip_package_imports

skip_package_imports(
    "msal",
    {
        "ClientApplication": "application",
        "PublicClientApplication": "application",
        "TokenCache": "token_cache",
    },
)

from azure.identity.aio import (  # noqa: E402  only now
    CertificateCredential,
    ChainedTokenCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

__all__ = [
    "CertificateCredential",
    "ChainedTokenCredential",
    "ClientAssertionCredential",
    "ClientSecretCredential",
    "DefaultAzureCredential",
    "ManagedIdentityCredential",
    "WorkloadIdentityCredential",
]
