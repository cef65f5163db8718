"""What can break between the operator and Kubernetes, and in Kubernetes; those of the whole control plane come last."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final

from tests.faults.admission import hanging_webhook, mutating_policy, refused_webhook
from tests.faults.api_proxy import WATCH, Answers, ApiFault, ExpiredWatches, LostAnswers, Slow
from tests.faults.fault import Fault
from tests.faults.harness import World
from tests.faults.instance import Instance

_HTML: Final = "<!doctype html><title>Not the API server</title>"
_SECONDS: Final = 2.0
"""The latency of a slow API server, for each request."""


def _api(name: str, *make: Callable[[World], ApiFault]) -> Fault:
    """Make a fault of the way to the API server; open watches are cut, so that they meet it too."""

    @contextmanager
    def breaking(world: World) -> Iterator[None]:
        (instance,) = world.instances
        with instance.api.fault(*(one(world) for one in make)):
            instance.api.cut()
            yield

    return Fault.of(name, "kubernetes", breaking)


def _answers(name: str, status: HTTPStatus, **fields: object) -> Fault:
    return _api(name, lambda _: Answers(status=status, **fields))  # type: ignore[arg-type]  # they are those of Answers


def _way(name: str, begin: Callable[[Instance], None], end: Callable[[Instance], None] = lambda _: None) -> Fault:
    """Make a fault of the connections to the API server."""

    @contextmanager
    def breaking(world: World) -> Iterator[None]:
        (instance,) = world.instances
        begin(instance)
        try:
            yield
        finally:
            end(instance)

    return Fault.of(name, "kubernetes", breaking)


def _labelled_meanwhile(world: World) -> LostAnswers:
    """Lose the answer of each creation; another controller labels the Secret before the operator asks again."""

    def label(_method: str, path: str) -> None:
        # It may be deleted at the same time.
        with suppress(AssertionError):
            world.label(path.rpartition("/")[2])

    return LostAnswers(methods=frozenset({"PATCH"}), path="/secrets/", status=HTTPStatus.CREATED, between=label)


def _admission(name: str, block: Callable[[World], AbstractContextManager[None]]) -> Fault:
    return Fault.of(name, "kubernetes", block)


@contextmanager
def _frozen_connections(world: World) -> Iterator[None]:
    """Deliver what was sent meanwhile at the end."""
    (instance,) = world.instances
    world.model.is_delayed = True
    instance.api.tcp.stall()
    try:
        yield
    finally:
        instance.api.tcp.resume()


STRANDED: Final = _way("dead connections stay open", lambda instance: instance.api.tcp.strand())

OUTAGES: Final = (
    _answers("403", HTTPStatus.FORBIDDEN),
    _answers("500", HTTPStatus.INTERNAL_SERVER_ERROR),
    _answers("503", HTTPStatus.SERVICE_UNAVAILABLE),
)
"""What may last for minutes: an API server that starts, an authorizer that is away."""

FAULTS: Final = (
    *OUTAGES,
    _answers("one 401 to the watch of VaultSecrets", HTTPStatus.UNAUTHORIZED, times=1, path="/vaultsecrets$"),
    _answers("one 401 to the watch of Secrets", HTTPStatus.UNAUTHORIZED, times=1, path="/secrets$"),
    _answers("401", HTTPStatus.UNAUTHORIZED),
    _answers("404 with HTML", HTTPStatus.NOT_FOUND, html=_HTML),
    _answers("429 with Retry-After", HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": "3"}),
    _answers("200 with HTML", HTTPStatus.OK, html=_HTML),
    _answers("writes forbidden", HTTPStatus.FORBIDDEN, methods=frozenset({"PATCH", "DELETE"}), path="/secrets/"),
    _api("lost answers of all writes", lambda _: LostAnswers()),
    _api("lost answers of creations, labelled meanwhile", _labelled_meanwhile),
    _api("lost answers of some writes", lambda _: LostAnswers(chance=0.5)),
    _api("slow API server", lambda _: Slow(seconds=_SECONDS)),
    _api("watches expire", lambda _: ExpiredWatches()),
    _api("watches expire as they begin", lambda _: ExpiredWatches(as_event=True)),
    _answers("no watches", HTTPStatus.SERVICE_UNAVAILABLE, methods=frozenset({WATCH})),
    _way("API server refuses", lambda instance: instance.api.tcp.disconnect(), lambda one: one.api.tcp.connect()),
    Fault.of("connections freeze", "kubernetes", _frozen_connections),
    STRANDED,
    _admission("webhook refused", refused_webhook),
    _admission("webhook hangs", hanging_webhook),
    _admission("policy mutates labels", partial(mutating_policy, changes="")),
)
