"""Every way to say what the Secret holds: properties, objects, searches, certificates, templates, immutable Secrets."""

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

from tests.e2e.scene import MARK, NEXT_POLL, Scene, entry, eventually
from tests.e2e.together import story
from tests.unit.vaultsync.render.attempts import needs
from tests.unit.vaultsync.render.authorities import a_line, a_party, in_pem, in_pkcs12, key_in_pem
from vaultsync.render.certificates import PEM_TYPE, PKCS12_TYPE

LEAF, BETWEEN, ROOT = a_line("rsa")
CHAIN = [party.certificate for party in (ROOT, LEAF, BETWEEN)]
"""Not in the order that a server needs."""

AS_PEM = key_in_pem(LEAF.key) + in_pem(CHAIN)
AS_PFX = in_pkcs12(LEAF.key, CHAIN)


def uid(scene: Scene, name: str = "db") -> str:
    secret = scene.secret(name)
    assert secret is not None
    found: str = secret["metadata"]["uid"]
    return found


def content(scene: Scene) -> dict[str, bytes]:
    scene.await_synced()
    found = scene.content()
    assert found is not None
    return found


@contextmanager
def files(content: dict[str, bytes]) -> Iterator[Path]:
    """What the Secret holds as a pod sees it: a file for each key."""
    with TemporaryDirectory() as folder:
        for key, value in content.items():
            (Path(folder) / key).write_bytes(value)
        yield Path(folder)


# entries


@story
def test_fields_of_a_json_value_become_keys(scene: Scene) -> None:
    user, password = scene.value(), scene.value()
    scene.vault.set("app", json.dumps({"db": {"user": user, "passwords": [password]}, "port": 5432}))

    scene.apply(
        entry("user", "app", property="db.user"),
        entry("password", "app", property="/db/passwords/0"),
        entry("port", "app", property="port"),
    )

    scene.await_content(user=user, password=password, port="5432")


@story
def test_a_field_that_is_missing_is_told_by_path_and_secret(scene: Scene) -> None:
    scene.vault.set("app", json.dumps({"db": scene.value()}))

    scene.apply(entry("password", "app", property="db.password"))

    message = scene.await_reason("PropertyMissing").message
    assert "db.password" in message
    assert "Secret app of vault" in message
    assert MARK not in message


@story
def test_the_password_before_stays_while_the_new_one_spreads(scene: Scene) -> None:
    first = scene.put()
    scene.apply(entry(previousKey="password.old"))
    scene.await_content(password=first)

    second = scene.put()

    scene.await_content(within=NEXT_POLL, **{"password": second, "password.old": first})
    third = scene.put()
    scene.await_content(within=NEXT_POLL, **{"password": third, "password.old": second})


# many keys from one line


@story
def test_every_field_of_an_object_becomes_a_key(scene: Scene) -> None:
    user, password = scene.value(), scene.value()
    scene.vault.set("app", json.dumps({"app_user": user, "password": password}))

    scene.apply(data=[], dataFrom=[{"object": "app", "prefix": "DB_", "rename": "^app_(?P<key>.*)$"}])

    scene.await_content(DB_user=user, DB_password=password)


@story
def test_what_fits_by_name_and_tags_becomes_keys_and_disabled_ones_are_counted(scene: Scene) -> None:
    web, late, old = scene.value(), scene.value(), scene.value()
    scene.vault.set("shop-web", web, tags={"tier": "web"})
    scene.vault.set("shop-db", scene.value(), tags={"tier": "db"})
    scene.vault.set("shop-old", old, tags={"tier": "web"}, enabled=False)
    find = {"names": "shop-*", "tags": {"tier": "web"}}

    scene.apply(data=[], dataFrom=[{"find": find, "rename": "shop-(?P<key>.*)"}])

    scene.await_content(web=web)
    scene.await_reason("Synced")
    assert (scene.vault_secret() or {})["status"]["leftOut"] == 1

    scene.vault.set("shop-late", late, tags={"tier": "web"})
    scene.vault.enable("shop-old")

    scene.await_content(web=web, late=late, old=old, within=NEXT_POLL)
    eventually(lambda: "leftOut" not in (scene.vault_secret() or {})["status"], "none is left out any more")


@story
def test_a_search_without_the_permission_to_list_says_so(scene: Scene) -> None:
    scene.put()
    scene.vault.deny("list")

    scene.apply(data=[], dataFrom=[{"find": {"names": "db-*"}}])

    assert "No permission to list the secrets" in scene.await_reason("AccessDenied").message


@story
def test_a_key_that_comes_twice_is_refused_until_the_later_line_may_win(scene: Scene) -> None:
    scene.put()
    later = scene.value()
    scene.vault.set("app", json.dumps({"password": later}))
    scene.apply(entry(), dataFrom=[{"object": "app"}])
    message = scene.await_reason("InvalidSpec").message
    assert "Key password is filled twice: from secrets db-password and app" in message
    assert MARK not in message

    scene.change(dataFrom=[{"object": "app", "onCollision": "Replace"}])

    scene.await_content(password=later)


# certificates


@story
@pytest.mark.parametrize(
    ("value", "kind"), [(AS_PFX, PKCS12_TYPE), (AS_PEM, PEM_TYPE), (AS_PEM, None)], ids=["pfx", "pem", "no type"]
)
def test_a_certificate_serves_tls_to_a_client_that_trusts_the_root_alone(
    scene: Scene, value: str, kind: str | None
) -> None:
    scene.vault.set("shop-tls", value, content_type=kind)

    scene.apply(
        data=[], dataFrom=[{"certificate": "shop-tls", "ca": True}], target={"type": "kubernetes.io/tls"}, name="db"
    )

    found = content(scene)
    assert found.keys() == {"tls.crt", "tls.key", "ca.crt"}
    with files(found) as folder:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        client = ssl.create_default_context(cafile=folder / "ca.crt")
    assert hello(server, client) == b"hello"


def hello(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """What a client reads that connects to such a server, if it lets itself be talked to."""
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


@story
def test_a_certificate_whose_key_is_anothers_is_refused(scene: Scene) -> None:
    value = key_in_pem(a_party("somebody else").key) + in_pem(CHAIN)
    scene.vault.set("shop-tls", value)

    scene.apply(data=[], dataFrom=[{"certificate": "shop-tls"}])

    message = scene.await_reason("CertificateInvalid").message
    assert "Secret shop-tls of vault" in message
    assert "does not fit together" in message


STORES = {
    "certificate": "shop-tls",
    "keyStore": {"key": "key.p12", "passwordKey": "password"},
    "trustStore": {"key": "trust.p12", "passwordKey": "password"},
}


@needs("openssl")
@needs("keytool")
@story
def test_stores_open_in_openssl_and_java_with_the_password_of_an_entry(scene: Scene) -> None:
    password = scene.put("store-password")
    scene.vault.set("shop-tls", AS_PFX, content_type=PKCS12_TYPE)

    scene.apply(entry("password", "store-password"), dataFrom=[STORES])

    with files(content(scene)) as folder:
        openssl = ["openssl", "pkcs12", "-in", str(folder / "key.p12"), "-passin", f"pass:{password}", "-nokeys"]
        assert b"CN = leaf" in subprocess.run(openssl, check=True, capture_output=True).stdout
        keytool = ["keytool", "-list", "-keystore", str(folder / "trust.p12"), "-storepass", password]
        assert b"trustedCertEntry" in subprocess.run(keytool, check=True, capture_output=True).stdout


# types


@story
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        ("kubernetes.io/ssh-auth", "ssh-privatekey"),
        ("kubernetes.io/tls", "tls.key"),
    ],
    ids=["dockerconfigjson", "ssh-auth", "tls"],
)
def test_content_that_is_of_no_use_for_its_type_is_never_written(scene: Scene, kind: str, key: str) -> None:
    scene.put()

    scene.apply(entry(key), entry("tls.crt"), target={"type": kind})

    message = scene.await_reason("TargetInvalid").message
    assert "of type " + kind in message
    assert MARK not in message
    assert scene.secret() is None


# templates


@story
def test_a_template_makes_a_key_of_the_others(scene: Scene) -> None:
    user, password = scene.put("db-user"), scene.put()
    template = {
        "DSN": "postgres://{{ user | url_encode }}:{{ password | url_encode }}@db/shop",
        "app.json": '{"password": {{ entries["password"] | json }}}',
    }

    scene.apply(entry("user", "db-user"), entry(), target={"template": template})

    dsn, document = f"postgres://{user}:{password}@db/shop", json.dumps({"password": password})
    written = content(scene)
    assert written == {
        key: text.encode()
        for key, text in {"user": user, "password": password, "DSN": dsn, "app.json": document}.items()
    }


@story
def test_a_template_that_is_wrong_is_told_by_line_and_column(scene: Scene) -> None:
    scene.put()

    scene.apply(entry(), target={"template": {"DSN": "postgres://\n  {{ pasword }}"}})

    message = scene.await_reason("TemplateInvalid").message
    assert re.search("Template DSN, line 2, column [0-9]+: ", message)
    assert MARK not in message


# immutable Secrets


@story
def test_an_immutable_secret_stays_and_the_condition_says_what_to_do(scene: Scene) -> None:
    value = scene.put()
    scene.apply(target={"immutable": True})
    secret = scene.await_content(password=value)
    assert secret["immutable"] is True

    scene.put()

    message = scene.await_reason("TargetImmutable", within=NEXT_POLL).message
    assert "target.replaceImmutable: true" in message
    scene.await_content(password=value)


@story
def test_an_immutable_secret_is_made_anew_where_that_is_wanted(scene: Scene) -> None:
    value = scene.put()
    scene.apply(target={"immutable": True, "replaceImmutable": True})
    scene.await_content(password=value)
    before = uid(scene)

    value = scene.put()

    scene.await_content(password=value, within=NEXT_POLL)
    assert uid(scene) != before
    eventually(lambda: scene.told()["Rotated"] == 1, "the event of the rotation")
