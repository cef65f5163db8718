"""Data of Secrets in front of those who read it: Go's TLS and SSH, and the kubelet's package.

OpenSSL and OpenSSH are asked by the tests of the checks themselves.
"""

from collections.abc import Mapping
from typing import Final

from tests.controlplane.readers import Readers
from tests.unit.vaultsync.render.docker_documents import DECODED, NOT_DECODED
from tests.unit.vaultsync.render.wild_files import PAIRS_IN_THE_WILD, READABLE_PAIRS, SSH_KEYS_IN_THE_WILD
from vaultsync.render.type_checks import normalized_data

TLS: Final = "kubernetes.io/tls"
SSH: Final = "kubernetes.io/ssh-auth"
DOCKER: Final = "kubernetes.io/dockerconfigjson"

Secrets = Mapping[str, Mapping[str, bytes]]
"""Data of Secrets, by the name of a case."""


def normalized(secret_type: str, secrets: Secrets) -> Secrets:
    return {name: normalized_data(secret_type, data, target="shop/web") for name, data in secrets.items()}


def refused(readers: Readers, secret_type: str, secrets: Secrets) -> dict[str, str]:
    """The errors of the reader, for what it does not accept."""
    errors = zip(secrets, readers.errors(secret_type, list(secrets.values())), strict=True)
    return {name: error for name, error in errors if error}


def test_go_serves_with_every_pair_that_is_written(readers: Readers) -> None:
    assert refused(readers, TLS, normalized(TLS, PAIRS_IN_THE_WILD | READABLE_PAIRS)) == {}


def test_go_reads_pairs_that_stay_as_they_are_and_most_of_the_others_not(readers: Readers) -> None:
    assert refused(readers, TLS, READABLE_PAIRS) == {}
    assert len(refused(readers, TLS, PAIRS_IN_THE_WILD)) > len(PAIRS_IN_THE_WILD) / 2


def test_go_reads_every_key_for_ssh_that_is_written(readers: Readers) -> None:
    assert refused(readers, SSH, normalized(SSH, SSH_KEYS_IN_THE_WILD)) == {}


def test_the_kubelet_decodes_what_is_accepted(readers: Readers) -> None:
    secrets = {name: {".dockerconfigjson": text.encode()} for name, text in DECODED.items()}

    assert refused(readers, DOCKER, normalized(DOCKER, secrets)) == {}


def test_the_kubelet_does_not_decode_what_is_refused(readers: Readers) -> None:
    secrets = {name: {".dockerconfigjson": text.encode()} for name, (text, _) in NOT_DECODED.items()}

    assert refused(readers, DOCKER, secrets).keys() == secrets.keys()
