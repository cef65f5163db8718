"""The Grafana dashboard of the chart; `make generate` writes it into the chart."""

import json
import re
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from tests.chart.panels import SOURCE
from tests.chart.renders import CHART
from tests.chart.rows import CLUSTERS, ROWS

FILE: Final[Path] = CHART / "files" / "dashboard.json"

RUNBOOKS: Final = "https://docs.example.com/vaultsync/runbooks"
"""Where the runbooks are until the chart, or who imports the file, says where."""


_ALL: Final = re.compile(r"\$(cluster|namespace|vault)\b")


def dashboard_json() -> str:
    """The dashboard as JSON in Grafana's format."""
    builder = (
        dashboard.Dashboard("vaultsync")
        .uid("vaultsync")
        .description("Sync of Azure Key Vault secrets into Kubernetes Secrets.")
        .tags(["vaultsync"])
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("1m")
        .link(dashboard.DashboardLink("Runbooks").url("${runbooks}/README.md").target_blank(True))
        .with_variable(dashboard.DatasourceVariable("source").label("Data source").type("prometheus"))
        .with_variable(_choice("cluster", "vaultsync_build_info"))
        .with_variable(_choice("namespace", f"vaultsync_vaultsecrets{{{CLUSTERS}}}"))
        .with_variable(_choice("vault", f"vaultsync_vault_up{{{CLUSTERS}}}"))
        .with_variable(dashboard.TextBoxVariable("runbooks").label("Runbooks at").default_value(RUNBOOKS))
    )
    for title, panels in ROWS.items():
        builder.with_row(dashboard.Row(title))
        for panel in panels():
            builder.with_panel(panel)
    built = builder.build()
    for position, each in enumerate(built.panels or [], start=1):
        each.id_val = position
    return JSONEncoder(sort_keys=True, indent=2).encode(built) + "\n"


def queries() -> dict[str, list[str]]:
    """The queries of each panel, by its title."""
    panels = json.loads(dashboard_json())["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels if "targets" in panel}


def concrete(query: str, interval: str, shown: str) -> str:
    """A query as Grafana asks it when all is chosen, with rates over an interval, of a time such as `1h`."""
    return _ALL.sub(".*", query).replace("$__rate_interval", interval).replace("$__range", shown)


def _choice(label: str, series: str) -> dashboard.QueryVariable:
    """A variable for the values of a label; all of them, or a series without the label, unless some are chosen."""
    everything = model.VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard.QueryVariable(label)
        .label(label.capitalize())
        .datasource(SOURCE)
        .query({"query": f"label_values({series}, {label})", "refId": "StandardVariableQuery"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )
