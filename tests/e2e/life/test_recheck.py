"""What no poll can tell is found out by looking again: a pinned version does not change, but what holds for it may."""

import ssl
from datetime import UTC, datetime, timedelta

import azure.identity
import httpx

from kvsecrets import SecretClient
from tests.e2e.life.scenes import LifeScene
from tests.e2e.scene import NEXT_POLL, entry, resource_version
from tests.e2e.together import story

RECHECK = 60.0
"""Seconds: the shortest `VAULTSYNC_RECHECK_INTERVAL` that there is."""


def let_expire(scene: LifeScene, name: str, version: str, expires: datetime) -> None:
    """Give a version a date, as people do it: through the vault's own API."""
    emulator, trusted = scene.emulator, ssl.create_default_context(cafile=scene.emulator.ca_file)
    with (
        azure.identity.ClientSecretCredential(
            emulator.tenant_id,
            emulator.client_id,
            emulator.client_secret,
            authority=emulator.login_url,
            connection_verify=str(emulator.ca_file),
            disable_instance_discovery=True,
        ) as credential,
        httpx.Client(verify=trusted, trust_env=False) as http,
        SecretClient(scene.vault.url, credential, http_client=http) as client,
    ):
        client.update_secret_properties(name, version, expires_on=expires)


@story
def test_what_becomes_of_a_pinned_version_is_noticed_at_the_recheck_and_its_value_stays(scene: LifeScene) -> None:
    values = {name: scene.value() for name in ("disabled", "expiring")}
    versions = {name: scene.vault.set(name, value) for name, value in values.items()}
    for name in values:
        scene.put(name)
    with scene.operator(environ={"VAULTSYNC_RECHECK_INTERVAL": "1m"}):
        for name, version in versions.items():
            scene.apply(entry(source=name, version=version), name=name)
            scene.await_content(name, password=values[name])
            scene.await_reason("Synced", name)
        written = {name: resource_version(scene.secret(name)) for name in values}
        expires = datetime.now(UTC) + timedelta(days=1)

        scene.vault.disable("disabled", versions["disabled"])
        let_expire(scene, "expiring", versions["expiring"], expires)

        ready = scene.await_reason("SecretDisabled", "disabled", within=RECHECK + NEXT_POLL)
        assert ready.status == "False"
        scene.await_event("Warning", "SecretDisabled", ready.message, "disabled")
        expiring = scene.await_reason("ExpiresSoon", "expiring", of="Expiring", within=RECHECK)
        scene.await_event("Warning", "ExpiresSoon", expiring.message, "expiring")
        assert scene.await_reason("Synced", "expiring").status == "True"
        assert {name: resource_version(scene.secret(name)) for name in values} == written
        scene.vault.enable("disabled", versions["disabled"])
        scene.await_reason("Synced", "disabled", within=NEXT_POLL)
        assert scene.content("disabled") == {"password": values["disabled"].encode()}
