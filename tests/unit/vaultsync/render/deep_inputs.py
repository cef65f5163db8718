"""Inputs of a tenant or a vault that nest deeply; run as a program, it renders each and prints what happened.

The test runs it in a process of its own, since a parser that recurses too deeply ends the process.
"""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.builders import VAULT, a_reading, a_vault_secret, an_entry
from tests.rendering import rendered
from vaultsync.errors import SyncError
from vaultsync.state.applied import from_annotation
from vaultsync.state.secrets import SecretRef
from vaultsync.state.vaults import VaultView

DEPTH: Final = 25_000
"""Enough to end Python 3.11 with a high recursion limit; a value in a vault may have 25 KiB."""


def _rendered(values: Mapping[str, str], **spec: Any) -> str:  # noqa: ANN401  fields of a spec
    entries = spec.pop("data", ())
    readings = {SecretRef(name): a_reading(value) for name, value in values.items()}
    try:
        rendered(a_vault_secret(data=tuple(entries), vault_url=VAULT, **spec), readings, VaultView())
    except SyncError as error:
        contexts = "" if error.__cause__ is error.__context__ is None else " with a context"
        return f"{error.reason}: {error.message}{contexts}"
    return "rendered"


def _lists() -> str:
    return "[" * DEPTH + "]" * DEPTH


def _objects() -> str:
    return '{"a":' * DEPTH + "1" + "}" * DEPTH


def _property() -> str:
    return _rendered({"db-password": _lists()}, data=[an_entry(property="0")])


def _open_property() -> str:
    return _rendered({"db-password": "[" * DEPTH}, data=[an_entry(property="0")])


def _object() -> str:
    return _rendered({"app": _objects()}, data_from=[{"object": "app"}])


def _docker_value() -> str:
    return _rendered(
        {"db-password": _objects()},
        data=[an_entry(key=".dockerconfigjson")],
        target={"type": "kubernetes.io/dockerconfigjson"},
    )


def _docker_template() -> str:
    """A template of some 1,100 characters whose loops write a quarter of a million brackets."""
    loops = 2
    template = (
        "{% assign all = user | split: ',' %}" + "{% for a in all %}" * loops + "[" * 1000 + "{% endfor %}" * loops
    )
    return _rendered(
        {"db-password": ",".join("x" * 16)},
        data=[an_entry(key="user")],
        target={"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": template}},
    )


def _template(source: str) -> Callable[[], str]:
    return lambda: _rendered({"db-password": "x"}, data=[an_entry(key="a")], target={"template": {"made": source}})


def _der(depth: int) -> bytes:
    der = b""
    for _ in range(depth):
        length = len(der)
        der = b"\x30" + (bytes([length]) if length < 0x80 else b"\x84" + length.to_bytes(4)) + der
    return der


def _pkcs12() -> str:
    value = base64.b64encode(_der(3_000)).decode()
    return _rendered({"app": value}, data_from=[{"certificate": "app"}])


def _pem(label: str) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(_der(3_000)).decode()}-----END {label}-----\n"


def _pem_certificate() -> str:
    return _rendered({"app": _pem("PRIVATE KEY") + _pem("CERTIFICATE")}, data_from=[{"certificate": "app"}])


def _tls_secret() -> str:
    return _rendered(
        {"db-password": _pem("CERTIFICATE"), "key": _pem("PRIVATE KEY")},
        data=[an_entry(key="tls.crt"), an_entry(key="tls.key", secret_name="key")],
        target={"type": "kubernetes.io/tls"},
    )


def _ssh_secret() -> str:
    return _rendered(
        {"db-password": _pem("PRIVATE KEY")},
        data=[an_entry(key="ssh-privatekey")],
        target={"type": "kubernetes.io/ssh-auth"},
    )


def _annotation() -> str:
    return str(from_annotation('{"spec":' + _lists() + ',"secrets":[]}'))


CASES: Final[Mapping[str, Callable[[], str]]] = {
    "a property": _property,
    "a property of lists without an end": _open_property,
    "an object": _object,
    "a Docker configuration": _docker_value,
    "a Docker configuration by template": _docker_template,
    "template blocks": _template("{% if a %}" * 700 + "{% endif %}" * 700),
    "template paths": _template("{{ " + "a[" * 300 + "a" + "]" * 300 + " }}"),
    "template parentheses": _template("{{ " + "(" * 900 + " }}"),
    "template ranges": _template("{{ " + "(1.." * 150 + "9" + ")" * 150 + " }}"),
    "template conditions": _template("{% if a" + " or a" * 190 + " %}{% endif %}"),
    "PKCS#12": _pkcs12,
    "PEM": _pem_certificate,
    "a TLS Secret": _tls_secret,
    "an SSH Secret": _ssh_secret,
    "an annotation": _annotation,
    "a pattern": lambda: _rendered(
        {"app": '{"a": 1}'}, data_from=[{"object": "app", "rename": "(" * 120 + "(?P<key>a)" + ")" * 120}]
    ),
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.setrecursionlimit(int(sys.argv[1]))
    for name, case in CASES.items():
        print(json.dumps([name, case()]), flush=True)  # noqa: T201  that is its output
