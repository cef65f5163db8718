"""A Prometheus that scrapes one program of this machine; knows none of its metrics."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

from tests.controlplane.parts import Part, free_ports


class Series(NamedTuple):
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


class History(NamedTuple):
    """One series over time; the moments are in seconds of Unix time."""

    labels: Mapping[str, str]
    points: list[tuple[float, float]]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @classmethod
    @contextmanager
    def start(
        cls, program: Path, folder: Path, *, target_port: int, groups: Iterable[Mapping[str, Any]]
    ) -> Iterator[Self]:
        """Start one that scrapes a port of this machine every second, with groups of rules."""
        (port,) = free_ports(1)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules.json").write_text(json.dumps({"groups": list(groups)}))
        # JSON is YAML.
        (folder / "prometheus.json").write_text(json.dumps(_configuration(target_port)))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            part = Part(
                "prometheus",
                [
                    program,
                    f"--config.file={folder / 'prometheus.json'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                log=folder / "prometheus.log",
                ready=lambda: _answers(http),
            )
            part.start()
            try:
                yield cls(http)
            finally:
                part.stop()

    def query(self, expression: str) -> list[Series]:
        """Evaluate an instant query."""
        result = self._get("/api/v1/query", query=expression)["result"]
        if isinstance(result[0] if result else {}, dict):
            return [Series(each["metric"], float(each["value"][1])) for each in result]
        return [Series({}, float(result[1]))]

    def history(self, expression: str, *, start: float, end: float, step: float) -> list[History]:
        """Query the values every `step` seconds from one moment of Unix time to another."""
        found = self._get("/api/v1/query_range", query=expression, start=f"{start}", end=f"{end}", step=f"{step}")
        return [
            History(each["metric"], [(moment, float(value)) for moment, value in each["values"]])
            for each in found["result"]
        ]

    def rules(self) -> list[dict[str, Any]]:
        """The rules of all groups with their health, and their alerts."""
        return [rule for group in self._get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer = self._http.get(path, params=parameters)
        assert answer.is_success, f"{parameters}: {answer.text}"
        data: dict[str, Any] = answer.json()["data"]
        return data


def _configuration(target_port: int) -> dict[str, Any]:
    interval = "1s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules.json"],
        "scrape_configs": [
            {
                "job_name": "vaultsync",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}],
            }
        ],
    }


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/-/ready").is_success
    except httpx.TransportError:
        return False
