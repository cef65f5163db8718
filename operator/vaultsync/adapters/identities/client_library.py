"""The asynchronous half of azure-identity, without the HTTP of the other half, and certificates once they are used.

It uses the token cache of msal, whose package imports requests and urllib3 for managed identities, which azure-identity
requests itself here: 6 MB. The library for certificates takes 9 MB, and few identities have one. Whatever imports
azure-identity imports it from here.
"""

from vaultsync.partial_imports import postponed, skip_package_imports

skip_package_imports(
    "msal",
    {
        "ClientApplication": "application",
        "PublicClientApplication": "application",
        "TokenCache": "token_cache",
    },
)

# Only the credential of a certificate uses them.
with postponed(
    "cryptography.x509",
    "cryptography.hazmat.primitives.asymmetric.padding",
    "cryptography.hazmat.primitives.hashes",
    "cryptography.hazmat.primitives.serialization",
    types={"cryptography.hazmat.primitives.asymmetric.rsa": "RSAPrivateKey"},
):
    from azure.identity.aio import (
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
