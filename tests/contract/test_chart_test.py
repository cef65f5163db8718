"""What `helm test` runs: a pod that no selector of the operator matches, and its script."""

import runpy
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Final

import pytest

from tests.chart.renders import CHART, Manifest, manifests, render, the
from tests.controlplane.helm import Helm
from tests.controlplane.parts import free_ports

SCRIPT: Final = CHART / "files" / "ready.py"


@contextmanager
def serving(address: str, port: int, status: HTTPStatus) -> Iterator[None]:
    """A pod at an address, whose probe has this status."""

    class Probe(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked = self.rfile.readline().split()[1]
            code = status if asked == b"/readyz" else HTTPStatus.NOT_FOUND
            self.wfile.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % code)

    with socketserver.TCPServer((address, port), Probe) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("pods", "code", "printed"),
    [
        ({"127.0.0.1": HTTPStatus.OK, "127.0.0.2": HTTPStatus.OK}, 0, ["127.0.0.1: ready", "127.0.0.2: ready"]),
        (
            {"127.0.0.1": HTTPStatus.OK, "127.0.0.2": HTTPStatus.SERVICE_UNAVAILABLE},
            1,
            ["127.0.0.1: ready", "127.0.0.2: not ready: 503"],
        ),
        ({"127.0.0.1": None}, 1, ["127.0.0.1: not ready: [Errno 111] Connection refused"]),
        ({}, 1, ["operator.invalid: not ready: [Errno -2] Name or service not known"]),
    ],
)
def test_the_script_ends_well_only_if_each_pod_is_ready(
    pods: Mapping[str, HTTPStatus | None],
    code: int,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (port,) = free_ports(1)

    def found(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host != "operator.invalid":  # the script connects to an address
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))]
        if not pods:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (address, port)) for address in pods]

    monkeypatch.setattr("sys.argv", ["-c", "operator.invalid", str(port), "0"])
    monkeypatch.setattr("time.sleep", lambda _: None)
    with ExitStack() as stack:
        for address, status in pods.items():
            if status is not None:
                stack.enter_context(serving(address, port, status))
        monkeypatch.setattr("socket.getaddrinfo", found)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT))

    assert int(end.value.code or 0) == code
    assert capsys.readouterr().out.splitlines() == printed


def test_the_pod_is_none_that_the_operators_selectors_match(helm: Helm) -> None:
    everywhere: Manifest = {"commonLabels": {"app.kubernetes.io/name": "mine"}, "networkPolicy": {"enabled": True}}
    rendered = render(helm, values=everywhere)

    pod = the("Pod", rendered)["metadata"]["labels"]
    selectors = [
        one["spec"].get("selector", {}).get("matchLabels", one["spec"].get("selector"))
        for one in manifests(rendered)
        if one["kind"] in {"Service", "Deployment", "PodDisruptionBudget"}
    ]
    assert len(selectors) == 4
    assert not any(selector.items() <= pod.items() for selector in selectors)

    policy = the("NetworkPolicy", rendered)["spec"]
    assert not policy["podSelector"]["matchLabels"].items() <= pod.items()
    (probes,) = [rule for rule in policy["ingress"] if rule["ports"][0]["port"] == "probes"]
    assert [peer["podSelector"]["matchLabels"].items() <= pod.items() for peer in probes["from"]] == [True]


def test_kubernetes_expands_no_variable_in_the_script() -> None:
    assert "$(" not in SCRIPT.read_text()
