"""The chart's admission policies admit what the operator does; the attacks with its token show what they deny."""

from collections.abc import Iterator

import pytest

from tests.attacks.stolen_token import RELEASE, TokenHolder, denied, encoded
from tests.controlplane.helm import Helm
from vaultsync.api import OWNER_UID_LABEL, RESTARTED_ANNOTATION
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.state.observed import COPIES

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def _bound(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[TokenHolder]:
    with TokenHolder.start(tmp_path_factory.mktemp("plane"), helm) as operator:
        yield operator


@pytest.fixture
def operator(_bound: TokenHolder) -> Iterator[TokenHolder]:
    """The operator, by its token."""
    yield _bound
    _bound.clean()


def test_what_the_operator_writes_is_admitted(operator: TokenHolder) -> None:
    operator.own()
    operator.admin.patch(operator.secrets("db"), {"metadata": {"labels": {OWNER_UID_LABEL: None}}})
    healed = operator.apply(operator.target(data={"password": encoded("new")}))
    assert healed.is_success, healed.text
    copy = {"metadata": {"annotations": {COPIES[0]: "{}"}}}
    operator.admin.patch(operator.secrets("db"), copy)
    cleaned = operator.patch(operator.secrets("db"), {"metadata": {"annotations": {COPIES[0]: None}}})
    assert cleaned.is_success, cleaned.text

    retained = operator.apply(operator.target(metadata={"ownerReferences": []}))
    assert retained.is_success, retained.text
    released = operator.patch(operator.secrets("db"), RELEASE)
    assert released.is_success, released.text

    operator.own("other")
    assert operator.token.attempt("DELETE", operator.secrets("other")).is_success


@pytest.mark.parametrize(("keys", "size"), [(1, 1024 * 1024), (1024, 1024)])
def test_a_secret_of_the_largest_size_can_be_written_and_released(keys: int, size: int, operator: TokenHolder) -> None:
    content = encoded("x" * size)
    for value in (content, content.replace("e", "f")):
        data = {f"key-{number}": value for number in range(keys)}
        written = operator.apply(operator.target(data=data))
        assert written.is_success, written.text[:1000]

    released = operator.patch(operator.secrets("db"), RELEASE)
    assert released.is_success, released.text[:1000]


@pytest.mark.parametrize("kind", WorkloadKind)
def test_a_restart_is_admitted(kind: WorkloadKind, operator: TokenHolder) -> None:
    path = operator.workload(kind)
    for moment in ("2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z"):
        annotations = {RESTARTED_ANNOTATION: moment}
        template = {"metadata": {"annotations": annotations}}
        answer = operator.patch(path, {"metadata": {"annotations": annotations}, "spec": {"template": template}})
        assert answer.is_success, answer.text


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("vaultsync.default-0", "kube-system"),
        ("vaultsync.default-1", "kube-system"),
        ("vaultsync.default-63", "kube-system"),  # before an upgrade that has lowered the number of shards
        ("vaultsync.default-vaultsync-5d9c-x2x", "default"),
    ],
)
def test_a_leader_is_elected(name: str, namespace: str, operator: TokenHolder) -> None:
    created = operator.acquire(name, namespace)
    assert created.is_success, created.text

    renewed = operator.token.attempt("PUT", operator.lease(name, namespace), created.json())
    assert renewed.is_success, renewed.text
    assert operator.token.attempt("DELETE", operator.lease(name, namespace)).is_success


def test_a_secret_whose_type_is_no_longer_allowed_can_be_released_and_deleted(operator: TokenHolder) -> None:
    for name in ("released", "deleted"):
        secret = operator.target(name, type="example.com/credentials", metadata={"ownerReferences": []})
        operator.admin.create(operator.secrets(), secret)

    assert denied(operator.patch(operator.secrets("released"), {"data": {"more": encoded("x")}}), "types of Secrets")
    assert operator.patch(operator.secrets("released"), RELEASE).is_success
    assert operator.token.attempt("DELETE", operator.secrets("deleted")).is_success
