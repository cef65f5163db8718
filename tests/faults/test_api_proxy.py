"""The proxy before the API server: what is put on happens, to what it concerns, and what is taken off does not."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.kubernetes import WATCH_SECONDS, KubernetesApi, WatchExpired
from tests.faults.api_proxy import (
    WATCH,
    Answers,
    ApiProxy,
    ExpiredWatches,
    Held,
    HiddenDeletions,
    LostAnswers,
)


@pytest.fixture
def proxy(controlplane: ControlPlane) -> Iterator[ApiProxy]:
    with ApiProxy.to(controlplane.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def administrator(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


@pytest.fixture
def through(proxy: ApiProxy, controlplane: ControlPlane, tmp_path: Path) -> Iterator[KubernetesApi]:
    copy = tmp_path / "kubeconfig"
    copy.write_text(controlplane.kubeconfig.read_text())
    with KubernetesApi(proxy.kubeconfig(copy)) as api:
        yield api


@pytest.fixture
def secrets(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def named(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


def get(api: KubernetesApi, path: str) -> httpx.Response:
    return api._http.get(path)


def test_without_a_fault_requests_and_watches_pass(through: KubernetesApi, proxy: ApiProxy, secrets: str) -> None:
    made = through.apply(f"{secrets}/db", named("db"))
    since = made["metadata"]["resourceVersion"]
    through.patch(f"{secrets}/db", {"metadata": {"labels": {"team": "shop"}}})

    ((_, changed),) = through.watch(secrets, since=since)

    assert changed["metadata"]["labels"] == {"team": "shop"}
    assert proxy.requests() == {"PATCH": 2, WATCH: 1}
    assert proxy.longest_watch == WATCH_SECONDS


def test_an_answer_of_its_own_is_given_so_often_to_those_that_it_concerns(
    through: KubernetesApi, proxy: ApiProxy, secrets: str
) -> None:
    with proxy.fault(
        Answers(status=429, headers={"Retry-After": "7"}, times=1, methods=frozenset({"GET"}), path="/db$")
    ):
        assert get(through, secrets).status_code == HTTPStatus.OK
        refused = get(through, f"{secrets}/db")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
        assert refused.json()["reason"] == "TooManyRequests"
        assert get(through, f"{secrets}/db").status_code == HTTPStatus.NOT_FOUND
    with proxy.fault(Answers(status=200, html="<html>welcome</html>")):
        assert get(through, secrets).text == "<html>welcome</html>"
    assert get(through, secrets).status_code == HTTPStatus.OK


def test_a_write_with_a_lost_answer_is_carried_out_and_others_may_act_before_the_cut(
    through: KubernetesApi, administrator: KubernetesApi, proxy: ApiProxy, secrets: str
) -> None:
    def label(method: str, path: str) -> None:
        administrator.patch(path, {"metadata": {"labels": {"seen": method}}})

    fault = LostAnswers(between=label)
    with proxy.fault(fault), pytest.raises(httpx.TransportError):
        through.apply(f"{secrets}/db", named("db"))

    made = through.get(f"{secrets}/db")
    assert made is not None
    assert made["metadata"]["labels"] == {"seen": "PATCH"}
    assert fault.lost == 1


def test_answers_of_one_status_are_lost(through: KubernetesApi, proxy: ApiProxy, secrets: str) -> None:
    with proxy.fault(LostAnswers(status=HTTPStatus.CREATED)):
        with pytest.raises(httpx.TransportError):
            through.apply(f"{secrets}/db", named("db"))
        through.patch(f"{secrets}/db", {"metadata": {"labels": {"team": "shop"}}})


def test_which_answers_are_lost_repeats_with_the_seed(through: KubernetesApi, proxy: ApiProxy, secrets: str) -> None:
    def lost(seed: int) -> list[bool]:
        losses = []
        with proxy.fault(LostAnswers(chance=0.5, seed=seed)):
            for _ in range(10):
                try:
                    through.apply(f"{secrets}/db", named("db"))
                    losses.append(False)
                except httpx.TransportError:
                    losses.append(True)
        return losses

    first = lost(1)

    assert {True, False} == set(first)
    assert lost(1) == first
    assert lost(2) != first


def test_a_held_write_is_carried_out_when_it_is_let_go(
    through: KubernetesApi, administrator: KubernetesApi, proxy: ApiProxy, secrets: str
) -> None:
    held = Held(methods=frozenset({"PATCH"}))
    with proxy.fault(held):
        writer = Thread(target=through.apply, args=[f"{secrets}/db", named("db")])
        writer.start()
        held.wait()
        assert administrator.get(f"{secrets}/db") is None
    writer.join()

    assert administrator.get(f"{secrets}/db") is not None


@pytest.mark.parametrize("as_event", [False, True])
def test_an_expired_watch_does_not_go_on(as_event: bool, through: KubernetesApi, proxy: ApiProxy, secrets: str) -> None:
    _, version = through.list_with_version(secrets)
    with proxy.fault(ExpiredWatches(as_event=as_event)), pytest.raises(WatchExpired):
        list(through.watch(secrets, since=version))


def test_a_hidden_deletion_does_not_come(through: KubernetesApi, proxy: ApiProxy, secrets: str) -> None:
    made = through.apply(f"{secrets}/db", named("db"))
    through.delete(f"{secrets}/db")
    through.apply(f"{secrets}/other", named("other"))
    since = made["metadata"]["resourceVersion"]
    with proxy.fault(HiddenDeletions()):
        assert [state["metadata"]["name"] for _, state in through.watch(secrets, since=since)] == ["other"]
    assert [state["metadata"]["name"] for _, state in through.watch(secrets, since=since)] == ["db", "other"]
