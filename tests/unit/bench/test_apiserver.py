"""The benchmark's own requests, as the API server counts them."""

from collections import Counter

import pytest

from bench.apiserver import counted_as, events_of, writes_of

SECRETS = "/api/v1/namespaces/bench/secrets"


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("GET", f"{SECRETS}/db", "GET secrets"),
        ("GET", f"{SECRETS}?limit=1", "LIST secrets"),
        ("PUT", f"{SECRETS}/db", "PUT secrets"),
        ("DELETE", f"{SECRETS}/db", "DELETE secrets"),
        ("DELETE", SECRETS, "DELETECOLLECTION secrets"),
        ("POST", "/apis/vaultsync.dev/v1alpha1/namespaces/bench/vaultsecrets", "POST vaultsecrets"),
    ],
)
def test_requests(method: str, path: str, counted: str) -> None:
    assert counted_as(method, path) == counted


def test_reads_are_no_writes() -> None:
    requests = Counter({"GET secrets": 5, "LIST vaultsecrets": 2, "APPLY secrets": 3, "POST events": 1})
    assert (writes_of(requests), events_of(requests)) == (4, 1)
