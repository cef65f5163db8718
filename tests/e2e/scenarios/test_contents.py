"""The content of targets: properties, objects, searches, certificates, templates, types, immutable Secrets."""

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import MARK, Harness, entry
from tests.unit.vaultsync.render.attempts import needs
from tests.unit.vaultsync.render.authorities import a_line, a_party, in_pem, in_pkcs12, key_in_pem

LEAF, BETWEEN, ROOT = a_line("rsa")
CHAIN = [party.certificate for party in (ROOT, LEAF, BETWEEN)]
"""In another order than a server needs."""

PKCS12_TYPE, PEM_TYPE = "application/x-pkcs12", "application/x-pem-file"

AS_PEM = key_in_pem(LEAF.key) + in_pem(CHAIN)
AS_PFX = in_pkcs12(LEAF.key, CHAIN)


def uid(harness: Harness, name: str = "db") -> str:
    secret = harness.secret(name)
    assert secret is not None
    found: str = secret["metadata"]["uid"]
    return found


def content(harness: Harness) -> dict[str, bytes]:
    harness.await_synced()
    found = harness.content()
    assert found is not None
    return found


@contextmanager
def files(content: dict[str, bytes]) -> Iterator[Path]:
    """The content of a Secret as a pod mounts it: a file for each key."""
    with TemporaryDirectory() as folder:
        for key, value in content.items():
            (Path(folder) / key).write_bytes(value)
        yield Path(folder)


# entries


@scenario
def test_fields_of_a_json_value_become_keys(harness: Harness) -> None:
    user, password = harness.value(), harness.value()
    harness.vault.set("app", json.dumps({"db": {"user": user, "passwords": [password]}, "port": 5432}))

    harness.apply(
        entry("user", "app", property="db.user"),
        entry("password", "app", property="/db/passwords/0"),
        entry("port", "app", property="port"),
    )

    harness.await_content(user=user, password=password, port="5432")


@scenario
def test_a_value_changes_its_format_and_the_message_says_which_to_set(harness: Harness) -> None:
    first, second = harness.value(), harness.value()
    harness.vault.set("app", json.dumps({"db": {"user": "app", "password": first}}))
    harness.apply(entry("password", "app", property="db.password"))
    harness.await_content(password=first)

    harness.vault.set("app", f"db:\n  user: null\n  password: {second}\n")

    message = harness.await_reason("PropertyMissing").message
    assert "is not valid JSON: line 1, column 1: " in message
    assert message.endswith("It looks like YAML: set format: YAML.")
    assert MARK not in message

    user = entry("user", "app", property="db.user", format="YAML", optional=True)
    harness.apply(entry("password", "app", property="db.password", format="YAML"), user)

    harness.await_content(password=second)
    harness.await_synced()


@scenario
def test_the_variables_of_an_env_file_become_keys(harness: Harness) -> None:
    user, password = harness.value(), harness.value()
    harness.vault.set("app", f"# shop\nexport DB_USER={user} # reader\nDB_PASSWORD='{password}'\nDB_URL=$HOME\n")

    harness.apply(data=[], dataFrom=[{"object": "app", "format": "Env", "omit": ["DB_URL"]}])

    harness.await_content(DB_USER=user, DB_PASSWORD=password)


@scenario
def test_a_missing_field_is_reported_by_path_and_secret(harness: Harness) -> None:
    harness.vault.set("app", json.dumps({"db": harness.value()}))

    harness.apply(entry("password", "app", property="db.password"))

    message = harness.await_reason("PropertyMissing").message
    assert "db.password" in message
    assert harness.vault.url in message
    assert MARK not in message


@scenario
def test_the_previous_version_is_kept_under_its_own_key(harness: Harness) -> None:
    first = harness.put()
    harness.apply(entry(previousKey="password.old"))
    harness.await_content(password=first)

    second = harness.put()

    harness.await_content(**{"password": second, "password.old": first})
    third = harness.put()
    harness.await_content(**{"password": third, "password.old": second})


# many keys from one line


@scenario
def test_every_field_of_an_object_becomes_a_key(harness: Harness) -> None:
    user, password = harness.value(), harness.value()
    harness.vault.set("app", json.dumps({"app_user": user, "password": password}))

    harness.apply(data=[], dataFrom=[{"object": "app", "prefix": "DB_", "rename": "^app_(?P<key>.*)$"}])

    harness.await_content(DB_user=user, DB_password=password)


@scenario
def test_a_search_by_name_and_tags_fills_keys_and_counts_disabled_secrets(harness: Harness) -> None:
    web, late, old = harness.value(), harness.value(), harness.value()
    harness.vault.set("shop-web", web, tags={"tier": "web"})
    harness.vault.set("shop-db", harness.value(), tags={"tier": "db"})
    harness.vault.set("shop-old", old, tags={"tier": "web"}, enabled=False)
    find = {"names": "shop-*", "tags": {"tier": "web"}}

    harness.apply(data=[], dataFrom=[{"find": find, "rename": "shop-(?P<key>.*)"}])

    harness.await_content(web=web)
    harness.await_reason("Synced")
    assert (harness.vault_secret() or {})["status"]["leftOut"] == 1

    harness.vault.set("shop-late", late, tags={"tier": "web"})
    harness.vault.enable("shop-old")

    harness.await_content(web=web, late=late, old=old)
    harness.eventually(lambda: "leftOut" not in (harness.vault_secret() or {})["status"], "none is left out")


@scenario
def test_found_secrets_become_environment_variables(harness: Harness) -> None:
    password, url = harness.value(), harness.value()
    harness.vault.set("shop-db-password", password)
    harness.vault.set("shop-dsn", url)
    harness.vault.set("shop-admin-password", harness.value())
    renamed = {"rename": "shop-(?P<key>.*)", "keyCase": "UpperSnake", "keys": {"Shop-DSN": "DATABASE_URL"}}

    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "omit": ["shop-Admin-*"], **renamed}])
    harness.await_content(DB_PASSWORD=password, DATABASE_URL=url)

    script = 'printf "%s %s" "$DB_PASSWORD" "$DATABASE_URL"'
    printed = subprocess.run(["/bin/sh", "-c", script], env=content(harness), capture_output=True, check=True)
    assert printed.stdout.decode() == f"{password} {url}"

    harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}, "omit": ["shop-Admin-*", "*-dsn"], **renamed}])
    harness.await_content(DB_PASSWORD=password)


@scenario
def test_a_search_without_permission_to_list_is_denied(harness: Harness) -> None:
    harness.put()
    harness.vault.deny("list")

    harness.apply(data=[], dataFrom=[{"find": {"names": "db-*"}}])

    assert "list" in harness.await_reason("AccessDenied").message


@scenario
def test_a_key_from_two_sources_is_an_error_unless_the_later_one_replaces_it(harness: Harness) -> None:
    harness.put()
    later = harness.value()
    harness.vault.set("app", json.dumps({"password": later}))
    harness.apply(entry(), dataFrom=[{"object": "app"}])
    message = harness.await_reason("InvalidSpec").message
    assert [part for part in ("password", "db-password", "app") if part not in message] == []
    assert MARK not in message

    harness.change(dataFrom=[{"object": "app", "onCollision": "Replace"}])

    harness.await_content(password=later)


# certificates


@scenario
@pytest.mark.parametrize(
    ("value", "kind"), [(AS_PFX, PKCS12_TYPE), (AS_PEM, PEM_TYPE), (AS_PEM, None)], ids=["pfx", "pem", "no type"]
)
def test_a_certificate_serves_tls_to_a_client_that_trusts_only_the_root(
    harness: Harness, value: str, kind: str | None
) -> None:
    harness.vault.set("shop-tls", value, content_type=kind)

    harness.apply(
        data=[], dataFrom=[{"certificate": "shop-tls", "ca": True}], target={"type": "kubernetes.io/tls"}, name="db"
    )

    found = content(harness)
    assert found.keys() == {"tls.crt", "tls.key", "ca.crt"}
    with files(found) as folder:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        client = ssl.create_default_context(cafile=folder / "ca.crt")
    assert hello(server, client) == b"hello"


def hello(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """The bytes that a client with this trust reads from such a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with server.wrap_socket(connection, server_side=True) as tls:
                tls.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as connection,
            client.wrap_socket(connection, server_hostname="localhost") as tls,
        ):
            heard = tls.recv(100)
        thread.join()
    return heard


@scenario
def test_a_certificate_with_the_key_of_another_is_an_error(harness: Harness) -> None:
    value = key_in_pem(a_party("another").key) + in_pem(CHAIN)
    harness.vault.set("shop-tls", value)

    harness.apply(data=[], dataFrom=[{"certificate": "shop-tls"}])

    message = harness.await_reason("CertificateInvalid").message
    assert [part for part in ("shop-tls", harness.vault.url) if part not in message] == []


STORES = {
    "certificate": "shop-tls",
    "keyStore": {"key": "key.p12", "passwordKey": "password"},
    "trustStore": {"key": "trust.p12", "passwordKey": "password"},
}


@needs("openssl")
@needs("keytool")
@scenario
def test_openssl_and_java_open_the_stores_with_the_password_of_an_entry(harness: Harness) -> None:
    password = harness.put("store-password")
    harness.vault.set("shop-tls", AS_PFX, content_type=PKCS12_TYPE)

    harness.apply(entry("password", "store-password"), dataFrom=[STORES])

    with files(content(harness)) as folder:
        openssl = ["openssl", "pkcs12", "-in", str(folder / "key.p12"), "-passin", f"pass:{password}", "-nokeys"]
        assert b"CN = leaf" in subprocess.run(openssl, check=True, capture_output=True).stdout
        keytool = ["keytool", "-list", "-keystore", str(folder / "trust.p12"), "-storepass", password]
        assert b"trustedCertEntry" in subprocess.run(keytool, check=True, capture_output=True).stdout


# types


@scenario
def test_pem_that_some_readers_refuse_is_written_as_all_accept_it(harness: Harness) -> None:
    crt, key = in_pem([LEAF.certificate, BETWEEN.certificate]), key_in_pem(LEAF.key)
    harness.vault.set("crt", "\ufeff" + crt.replace("\n", "\r\n"))
    harness.vault.set("key", key.rstrip("\n"))

    harness.apply(entry("tls.crt", "crt"), entry("tls.key", "key"), target={"type": "kubernetes.io/tls"})

    assert content(harness) == {"tls.crt": crt.encode(), "tls.key": key.encode()}


@scenario
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        ("kubernetes.io/ssh-auth", "ssh-privatekey"),
        ("kubernetes.io/tls", "tls.key"),
    ],
    ids=["dockerconfigjson", "ssh-auth", "tls"],
)
def test_content_that_is_invalid_for_its_type_is_not_written(harness: Harness, kind: str, key: str) -> None:
    harness.put()

    harness.apply(entry(key), entry("tls.crt"), target={"type": kind})

    message = harness.await_reason("TargetInvalid").message
    assert kind in message
    assert MARK not in message
    assert harness.secret() is None


# templates


@scenario
def test_a_template_renders_a_key_from_other_keys(harness: Harness) -> None:
    user, password = harness.put("db-user"), harness.put()
    template = {
        "DSN": "postgres://{{ user | url_encode }}:{{ password | url_encode }}@db/shop",
        "app.json": '{"password": {{ entries["password"] | json }}}',
    }

    harness.apply(entry("user", "db-user"), entry(), target={"template": template})

    dsn, document = f"postgres://{user}:{password}@db/shop", json.dumps({"password": password})
    written = content(harness)
    assert written == {
        key: text.encode()
        for key, text in {"user": user, "password": password, "DSN": dsn, "app.json": document}.items()
    }


@scenario
def test_an_invalid_template_is_reported_by_line_and_column(harness: Harness) -> None:
    harness.put()

    harness.apply(entry(), target={"template": {"DSN": "postgres://\n  {{ pasword }}"}})

    message = harness.await_reason("TemplateInvalid").message
    assert re.search("DSN, line 2, column [0-9]+", message)
    assert MARK not in message


# immutable Secrets


@scenario
def test_an_immutable_target_is_kept_and_the_condition_says_how_to_replace_it(harness: Harness) -> None:
    value = harness.put()
    harness.apply(target={"immutable": True})
    secret = harness.await_content(password=value)
    assert secret["immutable"] is True

    harness.put()

    message = harness.await_reason("TargetImmutable").message
    assert "target.replaceImmutable: true" in message
    harness.await_content(password=value)


@scenario
def test_an_immutable_target_is_replaced_if_the_spec_allows_it(harness: Harness) -> None:
    value = harness.put()
    harness.apply(target={"immutable": True, "replaceImmutable": True})
    harness.await_content(password=value)
    before = uid(harness)

    value = harness.put()

    harness.await_content(password=value)
    assert uid(harness) != before
    harness.eventually(lambda: harness.event_counts()["Rotated"] == 1, "the event of the rotation")
