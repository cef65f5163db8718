"""The dashboard of the chart: fresh, one that Grafana takes, and about metrics that there are."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.chart.dashboard import FILE, dashboard_json, queries
from tests.chart.renders import render, the
from tests.contract.test_metrics import of_code
from tests.controlplane.helm import Helm
from tests.controlplane.promtool import Promtool

SUFFIXES = ("_bucket", "_sum", "_count")


def panels() -> list[dict[str, Any]]:
    """The panels, rows included."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text())["panels"]
    return found


def test_the_file_is_fresh() -> None:
    assert FILE.read_text() == dashboard_json(), "run `make generate`"


def test_the_chart_installs_it(helm: Helm) -> None:
    rendered = render(helm, values={"grafanaDashboard": {"enabled": True}})

    config_map = the("ConfigMap", rendered)
    assert json.loads(config_map["data"]["vaultsync.json"]) == json.loads(FILE.read_text())
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_grafanas_own_types_read_it_and_write_the_same() -> None:
    document = json.loads(FILE.read_text())

    read = Dashboard.from_json(json.loads(FILE.read_text()))

    assert json.loads(JSONEncoder().encode(read)) == document


def test_panels_have_numbers_of_their_own_and_do_not_lie_upon_each_other() -> None:
    places = [
        {
            (each["gridPos"]["x"] + x, each["gridPos"]["y"] + y)
            for x in range(each["gridPos"]["w"])
            for y in range(each["gridPos"]["h"])
        }
        for each in panels()
    ]

    assert len({each["id"] for each in panels()}) == len(panels())
    assert [one & other for one, other in itertools.combinations(places, 2) if one & other] == []


def test_each_panel_says_what_it_shows() -> None:
    assert [each["title"] for each in panels() if each["type"] != "row" and not each.get("description")] == []


def test_every_query_can_be_read_and_is_about_metrics_that_there_are(promtool: Promtool, tmp_path: Path) -> None:
    expressions = [query.replace("$__rate_interval", "5m") for each in queries().values() for query in each]
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(expressions)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))

    assert f"{len(expressions)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")
    names = {name for query in expressions for name in re.findall(r"\bvaultsync_\w+", query)}
    assert {name for name in names - {row.name for row in of_code()} if not name.endswith(SUFFIXES)} == set()


@pytest.mark.parametrize("name", sorted(row.name for row in of_code()))
def test_every_metric_is_shown_somewhere(name: str) -> None:
    # Up, calls and the lists show it better; hardly any namespace ever has too many series.
    not_shown = {"vaultsync_polls_total", "vaultsync_vaultsecret_ready", "vaultsync_vaultsecret_series_left_out"}

    assert name in not_shown or any(name in query for each in queries().values() for query in each)
