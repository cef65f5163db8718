"""Deep nesting in what tenants and vaults provide: an error that says what to do, at any recursion limit."""

import json
import subprocess
import sys
from typing import Final

import pytest

import tests.unit.vaultsync.render.deep_inputs as program

DEEP_JSON: Final = "is JSON that nests deeper than 64 levels; "
IN_DOCKER: Final = (
    f"TargetInvalid: Key .dockerconfigjson {DEEP_JSON}remove what does not belong to a Docker configuration. "
    "Secret shop/db of type kubernetes.io/dockerconfigjson would be unusable."
)
DB: Final = "PropertyMissing: Secret db-password of vault https://shop.vault.azure.net, for key password, "
APP: Final = "Secret app of vault https://shop.vault.azure.net "
NESTS: Final = "whose ASN.1 nests deeper than 64 levels; export it again, for example with openssl"
EXPRESSION: Final = (
    "TemplateInvalid: Template made, line 1, column 1: more than 64 brackets and operators; "
    "split the expression with assign or nested if."
)

EXPECTED: Final = {
    "a property": f"{DB}{DEEP_JSON}flatten it in the vault.",
    "a property of lists without an end": f"{DB}{DEEP_JSON}flatten it in the vault.",
    "an object": f"PropertyMissing: {APP}{DEEP_JSON}flatten it in the vault.",
    "a Docker configuration": IN_DOCKER,
    "a Docker configuration by template": IN_DOCKER,
    "template blocks": "TemplateInvalid: Template made, line 1, column 304: blocks nest deeper than 30 levels; "
    "use fewer blocks inside each other.",
    "template paths": EXPRESSION,
    "template parentheses": EXPRESSION,
    "template ranges": EXPRESSION,
    "template conditions": EXPRESSION,
    "PKCS#12": f"CertificateInvalid: {APP}holds a PKCS#12 file {NESTS}.",
    "PEM": f"CertificateInvalid: {APP}holds a private key {NESTS}.",
    "a TLS Secret": f"TargetInvalid: Key tls.crt holds a certificate {NESTS}. "
    "Secret shop/db of type kubernetes.io/tls would be unusable.",
    "an SSH Secret": f"TargetInvalid: Key ssh-privatekey holds a private key {NESTS}. "
    "Secret shop/db of type kubernetes.io/ssh-auth would be unusable.",
    "an annotation": "None",
    "a pattern": "rendered",
}


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, 100_000], ids=["the default recursion limit", "a high recursion limit"])
def test_deep_nesting_is_an_error_and_does_not_end_the_process_with(limit: int | None) -> None:
    code = (
        f"import runpy, sys; sys.path[:0] = {sys.path!r}; runpy.run_module({program.__name__!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", code, *([] if limit is None else [str(limit)])]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    outcomes = dict(json.loads(line) for line in done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (0, "")
    assert outcomes == EXPECTED
