"""Password hashes in templates: that they verify, stay while the password does, and bound what they cost."""

import base64
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FIRST, READ_AT, SECOND, Tweak, a_reading, a_vault_secret, an_entry
from tests.unit.vaultsync.render.attempts import MARK, needs, visible_text
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason, SyncError
from vaultsync.render.manifest import password_requests, render_secret
from vaultsync.render.password_hashes import password_hashes
from vaultsync.render.passwords import PasswordRequest, Passwords, SourceVersion
from vaultsync.state.secrets import Reading, SecretRef
from vaultsync.state.vaults import VaultView

THIRD: Final = "7c9e6679742540de944be07fc1f90ae7"
LINE: Final = "{{ password | htpasswd: user }}"


def readings(
    password: Mapping[str, Tweak] | None = None, user: Mapping[str, Tweak] | None = None
) -> dict[SecretRef, Reading]:
    """What was read of the password and of the user."""
    return {
        SecretRef("db-password"): a_reading(**{"version": FIRST} | dict(password or {})),
        SecretRef("db-user"): a_reading(**{"value": "app", "version": SECOND} | dict(user or {})),
    }


def with_file(source: str = LINE, **more: Tweak) -> VaultSecret:
    """A user, a password, and a file with both."""
    entries = (an_entry(), an_entry(key="user", secret_name="db-user"))
    return a_vault_secret(*entries, target={"template": {"auth": source}}, **more)


def cheap(request: PasswordRequest) -> PasswordRequest:
    """The same request with the least cost of bcrypt."""
    return replace(request, salt=request.salt.replace("$10$", "$04$"))


def file_of(vault_secret: VaultSecret, read: Mapping[SecretRef, Reading] | None = None) -> str:
    """The rendered file, with cheap hashes."""
    found = readings() if read is None else read
    requests = password_requests(vault_secret, found, VaultView())
    hashes = dict(zip(requests, password_hashes([cheap(one) for one in requests]), strict=True))
    desired = render_secret(vault_secret, found, VaultView(), hashes=hashes)
    return base64.b64decode(desired.manifest["data"]["auth"]).decode()


def test_a_line_has_the_user_and_a_hash_that_verifies() -> None:
    user, _, hashed = file_of(with_file()).partition(":")

    assert user == "app"
    assert hashed.startswith("$2y$04$")
    assert bcrypt.checkpw(b"s3cret", hashed.encode())


def test_the_cost_is_that_which_servers_expect() -> None:
    (request,) = password_requests(with_file(), readings(), VaultView())
    (hashed,) = password_hashes([request])

    assert hashed.startswith("$2y$10$")
    assert len(hashed) == 60
    assert bcrypt.checkpw(b"s3cret", hashed.encode())


@needs("perl")
def test_a_line_verifies_by_the_c_library_as_servers_use_it() -> None:
    hashed = file_of(with_file()).partition(":")[2]

    program = ["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", "s3cret", hashed]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout == hashed


@pytest.mark.parametrize(
    "read",
    [readings(), readings(user={"version": THIRD}), readings(password={"read_at": READ_AT, "updated": READ_AT})],
    ids=["read again", "another secret has changed", "only dates have changed"],
)
def test_a_line_stays_while_user_and_password_do(read: dict[SecretRef, Reading]) -> None:
    assert file_of(with_file(), read) == file_of(with_file())


@pytest.mark.parametrize(
    ("vault_secret", "read"),
    [
        (with_file(), readings(password={"value": "other"})),
        (with_file(), readings(password={"version": THIRD})),
        (with_file(), readings(user={"value": "web"})),
        (with_file(metadata={"uid": "another"}), readings()),
    ],
    ids=["another password", "another version", "another user", "another VaultSecret"],
)
def test_a_line_has_another_salt_for(vault_secret: VaultSecret, read: dict[SecretRef, Reading]) -> None:
    before, after = (file_of(*both).partition(":")[2] for both in ((with_file(), readings()), (vault_secret, read)))

    assert before != after
    assert (before[:29] == after[:29]) is (read == readings(password={"value": "other"}))


def test_a_text_that_was_put_together_is_from_all_versions() -> None:
    composed = with_file("{{ password | append: '!' | htpasswd: user }}")

    assert file_of(composed) == file_of(composed)
    assert file_of(composed) != file_of(composed, readings(user={"version": THIRD}))


@given(first=st.text(max_size=9), second=st.text(max_size=9), user=st.text(max_size=9))
def test_a_salt_does_not_depend_on_the_password(first: str, second: str, user: str) -> None:
    salts = []
    for password in (first, second):
        passwords = Passwords("uid", [SourceVersion(FIRST, password.encode(errors="surrogatepass"))])
        passwords.hashed(user.encode(errors="replace").decode(), password.encode(errors="replace").decode())
        salts.append(next(iter(passwords.missing)).salt)

    assert salts[0] == salts[1]


def test_each_password_is_hashed_once() -> None:
    requests = password_requests(with_file(f"{LINE}\n{LINE}\n{{{{ user | htpasswd: user }}}}"), readings(), VaultView())

    assert len(requests) == 2


def test_a_template_without_htpasswd_asks_for_nothing() -> None:
    assert password_requests(with_file("{{ password }}"), readings(), VaultView()) == ()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ password | htpasswd }}", "htpasswd does not accept these arguments"),
        ("{{ password | htpasswd: user, context: 1 }}", "htpasswd does not accept these arguments"),
        ("{{ '' | htpasswd: user }}", "htpasswd accepts a password of 1 to 72 bytes, as much as bcrypt uses"),
        ("{{ 'ä' | append: password | htpasswd: '' }}", "htpasswd accepts a user of 1 to 255 printable characters "),
        (
            "{{ password | htpasswd: 'a:b' }}",
            "htpasswd accepts a user of 1 to 255 printable characters",
        ),
        (
            "{{ password | htpasswd: 'a\nb' }}",
            "htpasswd accepts a user of 1 to 255 printable characters",
        ),
        ("{% for n in (1..99) %}{{ password | htpasswd: n }}{% endfor %}", "this takes more work than all templates "),
        (
            "{{ password | htpasswd: user | htpasswd: 'b' | append: '' }}",
            "A template applies htpasswd to the ",
        ),
    ],
)
def test_a_template_fails_for(source: str, problem: str) -> None:
    with pytest.raises(SyncError) as raised:
        file_of(with_file(source), readings(password={"value": MARK}))

    assert raised.value.reason is Reason.TEMPLATE_INVALID
    assert problem in raised.value.message
    assert MARK not in visible_text(raised.value)


@pytest.mark.parametrize("password", ["x" * 73, "ä" * 37, "a\0b"])
def test_a_password_that_bcrypt_would_cut_is_refused(password: str) -> None:
    with pytest.raises(SyncError, match="htpasswd accepts a password of 1 to 72 bytes"):
        file_of(with_file(), readings(password={"value": password}))
