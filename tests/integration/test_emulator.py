"""The served emulator: logins by azure-identity, its control port, and its end."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import azure.identity
import azure.identity.aio
import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError

from tests.emulator.client import ROOT, EmulatedVault, Emulator, EmulatorFailed
from tests.emulator.login import ASSERTION_AUDIENCE

SCOPE = "https://localhost/.default"
SUBJECT = "system:serviceaccount:shop:reader"
OTHER_CLIENT = "c11e0000-0000-4000-8000-000000000002"


@pytest.fixture
def credential(emulator: Emulator) -> Iterator[azure.identity.ClientSecretCredential]:
    with secret_credential(emulator) as credential:
        yield credential


@pytest.fixture
def http(emulator: Emulator, credential: azure.identity.ClientSecretCredential) -> Iterator[httpx.Client]:
    """Calls with a good token."""
    token = credential.get_token(SCOPE).token
    with client(emulator, token) as client_:
        yield client_


def client(emulator: Emulator, token: str) -> httpx.Client:
    context = ssl.create_default_context(cafile=emulator.ca_file)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(verify=context, headers=headers, trust_env=False)


def get(http: httpx.Client, vault: EmulatedVault | str, path: str = "/secrets") -> httpx.Response:
    return http.get(f"{vault if isinstance(vault, str) else vault.url}{path}?api-version=7.4")


def secret_credential(emulator: Emulator, **changes: str) -> azure.identity.ClientSecretCredential:
    arguments: dict[str, Any] = {
        "tenant_id": emulator.tenant_id,
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
        "authority": emulator.login_url,
        "connection_verify": str(emulator.ca_file),
        "disable_instance_discovery": True,
    }
    return azure.identity.ClientSecretCredential(**(arguments | changes))


def assertion(folder: Path, **claims: str) -> Path:
    """A service account's token, as the kubelet would mount it."""
    file = folder / "token"
    file.write_text(jwt.encode({"sub": SUBJECT, "aud": ASSERTION_AUDIENCE} | claims, "k" * 32, algorithm="HS256"))
    return file


class TestLogin:
    @pytest.mark.parametrize("flavour", ["azure.identity", "azure.identity.aio"])
    def test_the_default_credential_logs_in_by_environment_variables(self, emulator: Emulator, flavour: str) -> None:
        script = f"""
            import asyncio, inspect
            from {flavour} import DefaultAzureCredential
            async def main():
                credential = DefaultAzureCredential(disable_instance_discovery=True)
                for step in (credential.get_token("{SCOPE}"), credential.close()):
                    result = await step if inspect.isawaitable(step) else step
                    print(getattr(result, "token", ""))
            asyncio.run(main())
        """
        done = subprocess.run(
            [sys.executable, "-c", f"if True:{script}"],
            env=emulator.environment(),
            capture_output=True,
            text=True,
            check=True,
        )

        assert jwt.decode(done.stdout.strip(), options={"verify_signature": False})["aud"] == "https://localhost"

    def test_a_workload_logs_in_with_the_token_of_its_service_account(self, emulator: Emulator, tmp_path: Path) -> None:
        emulator.register(OTHER_CLIENT, subjects=[SUBJECT])

        with azure.identity.WorkloadIdentityCredential(
            tenant_id=emulator.tenant_id,
            client_id=OTHER_CLIENT,
            token_file_path=str(assertion(tmp_path)),
            authority=emulator.login_url,
            connection_verify=str(emulator.ca_file),
            disable_instance_discovery=True,
        ) as credential:
            token = credential.get_token(SCOPE).token

        assert jwt.decode(token, options={"verify_signature": False})["appid"] == OTHER_CLIENT

    async def test_a_workload_under_asyncio_logs_in_with_one_request(self, emulator: Emulator, tmp_path: Path) -> None:
        emulator.register(OTHER_CLIENT, subjects=[SUBJECT])
        before = emulator.logins()

        async with azure.identity.aio.WorkloadIdentityCredential(
            tenant_id=emulator.tenant_id,
            client_id=OTHER_CLIENT,
            token_file_path=str(assertion(tmp_path)),
            authority=emulator.login_url,
            connection_verify=str(emulator.ca_file),
        ) as credential:
            await credential.get_token(SCOPE)

        assert emulator.logins() - before == {"token": 1}

    @pytest.mark.parametrize("wrong", [{"sub": "system:serviceaccount:shop:other"}, {"aud": "https://kubernetes"}])
    async def test_an_assertion_with_another_subject_or_audience_is_rejected(
        self, emulator: Emulator, tmp_path: Path, wrong: dict[str, str]
    ) -> None:
        emulator.register(OTHER_CLIENT, subjects=[SUBJECT])

        async with azure.identity.aio.WorkloadIdentityCredential(
            tenant_id=emulator.tenant_id,
            client_id=OTHER_CLIENT,
            token_file_path=str(assertion(tmp_path, **wrong)),
            authority=emulator.login_url,
            connection_verify=str(emulator.ca_file),
        ) as credential:
            with pytest.raises(ClientAuthenticationError, match="AADSTS700213"):
                await credential.get_token(SCOPE)

    @pytest.mark.parametrize(
        ("wrong", "text"),
        [
            pytest.param({"client_secret": "guess"}, "AADSTS7000215", id="a wrong secret"),
            pytest.param({"client_id": "unknown"}, "AADSTS700016", id="an unknown client"),
        ],
    )
    def test_an_unregistered_client_gets_no_token(self, emulator: Emulator, wrong: dict[str, str], text: str) -> None:
        with secret_credential(emulator, **wrong) as credential, pytest.raises(ClientAuthenticationError, match=text):
            credential.get_token(SCOPE)

    def test_a_login_can_be_made_to_fail(self, emulator: Emulator) -> None:
        emulator.fail_login(status=400)

        with secret_credential(emulator) as credential, pytest.raises(ClientAuthenticationError):
            credential.get_token(SCOPE)


class TestTokens:
    def test_one_token_is_valid_for_every_vault(self, emulator: Emulator, http: httpx.Client) -> None:
        urls = [emulator.add_vault(name).url for name in ("one", "two")]

        assert [get(http, url).status_code for url in urls] == [200, 200]

    @pytest.mark.parametrize(
        ("scope", "text"),
        [
            pytest.param("https://graph.example/.default", "AKV10022: Invalid audience", id="for another audience"),
            pytest.param(SCOPE, "[TokenExpired]", id="expired"),
        ],
    )
    def test_an_invalid_token_is_rejected_with_the_reason(
        self, emulator: Emulator, vault: EmulatedVault, scope: str, text: str
    ) -> None:
        emulator.token_lifetime(3600 if text.startswith("AKV") else 0)
        with secret_credential(emulator) as credential:
            token = credential.get_token(scope).token
        emulator.token_lifetime(3600)

        with client(emulator, token) as http:
            answer = get(http, vault)

        assert answer.status_code == 401
        assert text in answer.json()["error"]["message"]

    def test_a_token_of_another_tenant_is_rejected(self, emulator: Emulator, vault: EmulatedVault) -> None:
        emulator.register(OTHER_CLIENT, secret="s", tenant_id="elsewhere")
        with secret_credential(emulator, tenant_id="elsewhere", client_id=OTHER_CLIENT, client_secret="s") as other:
            token = other.get_token(SCOPE).token

        with client(emulator, token) as http:
            answer = get(http, vault)

        assert "AKV10032" in answer.json()["error"]["message"]

    def test_a_malformed_token_is_rejected(self, emulator: Emulator, vault: EmulatedVault) -> None:
        with client(emulator, "garbage") as http:
            answer = get(http, vault)

        assert "AggregatedAuthenticationFailure" in answer.json()["error"]["message"]

    def test_a_permission_can_be_denied_to_one_client(
        self, emulator: Emulator, vault: EmulatedVault, http: httpx.Client
    ) -> None:
        emulator.register(OTHER_CLIENT, secret="s")
        vault.deny("list", client_id=OTHER_CLIENT)
        with secret_credential(emulator, client_id=OTHER_CLIENT, client_secret="s") as other:
            token = other.get_token(SCOPE).token

        with client(emulator, token) as others_http:
            denied = get(others_http, vault)

        assert denied.json()["error"]["innererror"]["code"] == "ForbiddenByPolicy"
        assert OTHER_CLIENT in denied.json()["error"]["message"]
        assert get(http, vault).status_code == 200


class TestControls:
    def test_a_closed_port_refuses_connections_and_is_opened_again(
        self, emulator: Emulator, vault: EmulatedVault, http: httpx.Client
    ) -> None:
        assert get(http, vault).status_code == 200
        vault.close_door()
        with pytest.raises(httpx.ConnectError, match="refused"):
            get(http, vault)
        vault.open_door()

        assert get(http, vault).status_code == 200

    def test_latency_delays_every_call(self, vault: EmulatedVault, http: httpx.Client) -> None:
        vault.latency(0.05)

        began = time.monotonic()
        get(http, vault)

        assert time.monotonic() - began >= 0.05

    def test_failures_and_throttling_affect_the_next_calls_only(self, vault: EmulatedVault, http: httpx.Client) -> None:
        vault.fail(2, status=500)
        vault.throttle(1, retry_after=7)

        answers = [get(http, vault) for _ in range(4)]

        assert [answer.status_code for answer in answers] == [500, 500, 429, 200]
        assert answers[2].headers["retry-after"] == "7"

    def test_calls_are_counted_by_kind_until_forgotten(self, vault: EmulatedVault, http: httpx.Client) -> None:
        get(http, vault)
        get(http, vault, "/secrets/none")
        counted = vault.calls()
        vault.forget_calls()

        assert (counted, vault.calls()) == ({"list": 1, "get": 1}, {})

    def test_many_secrets_with_dates_can_be_set_at_once(self, vault: EmulatedVault, http: httpx.Client) -> None:
        age = datetime(2020, 1, 1, tzinfo=UTC)
        vault.set_many({"name": f"secret-{number:04}", "value": "v", "updated_on": age} for number in range(1000))

        url, updated, pages = f"{vault.url}/secrets?api-version=7.4", set[int](), 0
        while url:
            page = http.get(url).json()
            updated |= {item["attributes"]["updated"] for item in page["value"]}
            url, pages = page["nextLink"], pages + 1

        assert (pages, updated) == (40, {int(age.timestamp())})

    def test_secrets_can_be_changed_without_calls(self, vault: EmulatedVault, http: httpx.Client) -> None:
        vault.set("db", "old")
        vault.set("db", "new", tags={"tier": "web"})
        vault.disable("db")

        answer = get(http, vault, "/secrets/db")

        assert answer.json()["error"]["innererror"]["code"] == "SecretDisabled"
        assert vault.value("db") == "new"
        assert vault.calls() == {"get": 1}

    def test_several_secrets_are_deleted_and_recovered_at_once(self, vault: EmulatedVault, http: httpx.Client) -> None:
        for name in ("user", "password"):
            vault.set(name, "old")

        vault.delete("user", "password")
        assert [get(http, vault, f"/secrets/{name}").status_code for name in ("user", "password")] == [404, 404]

        vault.recover("user", "password")
        assert [get(http, vault, f"/secrets/{name}").status_code for name in ("user", "password")] == [200, 200]

    def test_an_invalid_command_is_an_error(self, vault: EmulatedVault) -> None:
        with pytest.raises(EmulatorFailed, match="404 SecretNotFound"):
            vault.delete("none")


def test_revoked_tokens_are_refused_and_later_ones_accepted(emulator: Emulator, http: httpx.Client) -> None:
    before = get(http, emulator.vault("shop")).status_code
    emulator.revoke_tokens()
    refused = get(http, emulator.vault("shop"))

    with secret_credential(emulator) as other, client(emulator, other.get_token(SCOPE).token) as later:
        after = get(later, emulator.vault("shop")).status_code

    assert (before, refused.status_code, after) == (200, 401, 200)
    assert "claims" not in refused.headers["www-authenticate"]


def test_a_removed_vault_refuses_connections(emulator: Emulator) -> None:
    url = emulator.add_vault("passing").url
    emulator.remove_vault("passing")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))


def test_it_stops_and_frees_its_ports_when_its_block_ends(tmp_path: Path) -> None:
    with Emulator.start(tmp_path) as running:
        url = running.vault_url("shop")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))


def test_it_stops_when_the_program_that_started_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.emulator", "--with-parent", "--dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.close()

        assert process.wait(300) == 0


BROKEN: dict[str, dict[str, Any]] = {
    "refused": {"way": "refused"},
    "a black hole": {"way": "hole"},
    "deaf": {"way": "deaf"},
    "another certificate": {"way": "stranger"},
    "truncated": {"way": "truncated"},
    "reset": {"way": "reset"},
    "garbage": {"way": "garbage"},
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_vault_gives_no_answer_until_it_is_mended(way: str, vault: EmulatedVault, emulator: Emulator) -> None:
    credential_ = secret_credential(emulator)
    with credential_, client(emulator, credential_.get_token(SCOPE).token) as http:
        http.timeout = 1.0 if way in {"a black hole", "deaf"} else 60.0
        vault.break_(**BROKEN[way])

        with pytest.raises(httpx.TransportError):
            get(http, vault)

        vault.mend()
        http.timeout = 60.0
        assert get(http, vault).is_success


def test_a_vault_replies_as_configured_to_some_calls(http: httpx.Client, vault: EmulatedVault) -> None:
    vault.break_("reply", status=418, headers={"X-Kind": "teapot"}, body="[]", kind="list", every=2)

    answers = [get(http, vault), get(http, vault), get(http, vault, "/secrets/none"), get(http, vault)]

    assert [answer.status_code for answer in answers] == [200, 418, 404, 200]
    assert answers[1].headers["X-Kind"] == "teapot"
    assert answers[1].json() == []


def test_a_vault_may_drip(http: httpx.Client, vault: EmulatedVault) -> None:
    vault.break_("drip")

    assert get(http, vault).json() == {"value": [], "nextLink": None}


def test_the_date_of_a_vault_may_be_off_in_one_answer(http: httpx.Client, vault: EmulatedVault) -> None:
    vault.break_("skewed", seconds=86400, calls=1)

    wrong, right = (parsedate_to_datetime(get(http, vault).headers["Date"]) for _ in range(2))

    assert wrong - right > timedelta(hours=23)


@pytest.mark.parametrize(("change", "count"), [("skip", 1), ("repeat", 3)])
def test_a_listing_may_skip_and_repeat(change: str, count: int, http: httpx.Client, vault: EmulatedVault) -> None:
    vault.set("a", "1")
    vault.set("b", "2")
    vault.break_("relisted", kind="list", change=change)

    assert len(get(http, vault).json()["value"]) == count


def test_a_replica_that_lags_returns_what_was_before(http: httpx.Client, vault: EmulatedVault) -> None:
    vault.set("a", "old", created_on=datetime(2026, 1, 1, tzinfo=UTC))
    vault.set("a", "new")
    vault.set("b", "new")
    vault.lag(3600.0)

    assert get(http, vault, "/secrets/a").json()["value"] == "old"
    assert len(get(http, vault).json()["value"]) == 1

    vault.lag(0)
    assert get(http, vault, "/secrets/a").json()["value"] == "new"


def test_a_broken_login_is_mended(emulator: Emulator) -> None:
    emulator.break_login("reply", status=401, body="{}")
    with secret_credential(emulator) as credential, pytest.raises(ClientAuthenticationError):
        credential.get_token(SCOPE)

    emulator.mend_login()
    with secret_credential(emulator) as credential:
        assert credential.get_token(SCOPE).token
