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

from tests.chart.dashboard import FILE, RUNBOOKS, concrete, dashboard_json, queries
from tests.chart.renders import ROOT, render, rule_groups, the
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


def installed(helm: Helm, **values: object) -> dict[str, Any]:
    """The dashboard as the chart installs it."""
    config_map = the("ConfigMap", render(helm, values={"grafanaDashboard": {"enabled": True}, **values}))
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    document: dict[str, Any] = json.loads(config_map["data"]["vaultsync.json"])
    return document


def test_the_chart_installs_it_with_links_to_where_the_runbooks_are(helm: Helm) -> None:
    document = installed(helm, prometheusRule={"runbooks": "https://docs.example.org/runbooks/"})

    assert document == json.loads(FILE.read_text().replace(RUNBOOKS, "https://docs.example.org/runbooks"))


def test_the_chart_installs_it_without_links_if_the_runbooks_are_nowhere(helm: Helm) -> None:
    document, file = installed(helm), json.loads(FILE.read_text())

    assert [panel for panel in document["panels"] if "links" in panel] == []
    assert "links" not in document
    assert "runbooks" not in {variable["name"] for variable in document["templating"]["list"]}
    assert [panel.get("targets") for panel in document["panels"]] == [panel.get("targets") for panel in file["panels"]]


def test_each_link_leads_to_a_page() -> None:
    document = json.loads(FILE.read_text())
    links = [*document["links"], *(link for panel in document["panels"] for link in panel.get("links", ()))]

    pages = {link["url"].removeprefix("${runbooks}/") for link in links}
    assert {page for page in pages if not (ROOT / "docs" / "runbooks" / page).exists()} == set()
    assert len(pages) > 1


def test_what_can_be_chosen_is_all_unless_something_is_chosen() -> None:
    source, *variables, _ = json.loads(FILE.read_text())["templating"]["list"]

    assert (source["name"], source["type"]) == ("source", "datasource")
    assert [one["name"] for one in variables] == ["cluster", "namespace", "vault"]
    for one in variables:
        assert (one["multi"], one["includeAll"], one["allValue"], one["current"]["value"]) == (
            True,
            True,
            ".*",
            "$__all",
        )
        assert one["datasource"]["uid"] == "${source}"


def test_each_query_is_about_the_chosen_clusters() -> None:
    every = [query for each in queries().values() for query in each]

    metrics = re.compile(r"\b(?:\w+:)?vaultsync_\w+(?::\w+)?(?P<labels>{[^}]*})?")
    unscoped = {
        found[0] for query in every for found in metrics.finditer(query) if "$cluster" not in (found["labels"] or "")
    }
    assert unscoped == set()


def test_a_number_that_must_not_be_is_red_or_orange_and_zero_is_green() -> None:
    steps = {
        each["title"]: [
            (step["value"], step["color"]) for step in each["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for each in panels()
        if each["type"] == "stat" and each["gridPos"]["y"] == 1
    }

    assert steps.pop("In sync") == [(None, "text")]
    assert {len(each) for each in steps.values()} == {2}
    assert {each[0] for each in steps.values()} == {(None, "green")}
    assert {each[1] for each in steps.values()} == {(1, "red"), (1, "orange")}


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
    expressions = [concrete(query, "5m", "1h") for each in queries().values() for query in each]
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(expressions)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))

    assert f"{len(expressions)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")
    names = {name for query in expressions for name in re.findall(r"(?<!:)\bvaultsync_\w+", query)}
    assert {name for name in names - {row.name for row in of_code()} if not name.endswith(SUFFIXES)} == set()


def test_recorded_series_are_those_of_the_rules(helm: Helm) -> None:
    recorded = {rule["record"] for group in rule_groups(helm) for rule in group["rules"] if "record" in rule}
    used = {
        name for each in queries().values() for query in each for name in re.findall(r"\w+:vaultsync_\w+:\w+", query)
    }

    assert used
    assert used <= recorded


@pytest.mark.parametrize("name", sorted(row.name for row in of_code()))
def test_every_metric_is_shown_somewhere(name: str) -> None:
    # Up, calls and the lists show it better; hardly any namespace ever has too many series.
    not_shown = {"vaultsync_polls_total", "vaultsync_vaultsecret_ready", "vaultsync_vaultsecret_series_left_out"}

    assert name in not_shown or any(name in query for each in queries().values() for query in each)
