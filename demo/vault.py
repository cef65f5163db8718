"""`python -m demo.vault`: sets, deletes and recovers secrets in a vault, with kvsecrets as any program would use it."""

import argparse
import os
import secrets
import sys

from azure.identity import EnvironmentCredential

from kvsecrets import KeyVaultError, SecretClient


def main() -> int:
    """Change one secret of the vault that the variable VAULT_URL names; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.vault", description=__doc__)
    parser.add_argument("verb", choices=["generate", "delete", "recover"], help="generate: set a new random value")
    parser.add_argument("name", help="the secret's name")
    arguments = parser.parse_args()
    vault_url = os.environ["VAULT_URL"]  # noqa: TID251  a command starts from its environment
    # Only for the demo: the login is an emulator's, which the vendor's instance discovery does not know.
    login = EnvironmentCredential(disable_instance_discovery=True)
    with login as credential, SecretClient(vault_url, credential) as client:
        try:
            print(_act(client, arguments.verb, arguments.name))
        except KeyVaultError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _act(client: SecretClient, verb: str, name: str) -> str:
    match verb:
        case "generate":
            version = client.set_secret(name, secrets.token_urlsafe(24)).properties.version
            return f"{name} has a new version: {version}"
        case "delete":
            client.begin_delete_secret(name).wait()
            return f"{name} is deleted and can be recovered"
        case _:
            client.begin_recover_deleted_secret(name).wait()
            return f"{name} is recovered"


if __name__ == "__main__":
    sys.exit(main())
