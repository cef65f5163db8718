"""The kinds of panels of the dashboard, built with Grafana's own types; knows no metric."""

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${source}")

HALF: Final = 12
THIRD: Final = 8
EIGHTH: Final = 3
"""Of the grid's 24 columns."""

GOOD: Final = "green"
NOTABLE: Final = "orange"
BAD: Final = "red"
PLAIN: Final = "text"

Panel = Builder[model.Panel]
Steps = Sequence[tuple[float | None, str]]
"""From which value on there is which color; None is the lowest of all."""


def number(
    title: str,
    query: str,
    description: str,
    *,
    steps: Steps = ((None, PLAIN),),
    unit: str = "short",
    span: int = EIGHTH,
    runbook: str = "",
) -> Panel:
    """One number; with `$__range` in its query it is about all of the time that is shown."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(4)
        .unit(unit)
        .color_mode(options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(steps))
        .links(_links(runbook))
    )
    if "$__range" in query:
        return panel.graph_mode(options.BigValueGraphMode.NONE).with_target(_target("A", query).instant())
    return panel.with_target(_target("A", query).range())


def lines(
    title: str,
    queries: Sequence[tuple[str, str]],
    description: str,
    *,
    unit: str = "short",
    span: int = HALF,
    stacked: bool = False,
    limit: float | None = None,
    colors: Mapping[str, str] | None = None,
    runbook: str = "",
) -> Panel:
    """Lines over time; `queries` are pairs of query and legend.

    A dashed line is at `limit`, from which on it is too much. `colors` are those of lines by a pattern of their names.
    """
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(options.LegendDisplayMode.TABLE)
        .placement(options.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "mean", "max"])
        .sort_by("Max")
        .sort_desc(True)
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(8)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(40 if stacked else 10)
        .show_points(options.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
        .legend(legend)
        .links(_links(runbook))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if limit is not None:
        panel.thresholds(_thresholds(((None, "transparent"), (limit, BAD))))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED))
    for pattern, color in (colors or {}).items():
        fixed = {"mode": "fixed", "fixedColor": color}
        panel.override_by_regexp(f"/{pattern}/", [model.DynamicConfigValue(id_val="color", value=fixed)])
    for letter, (query, name) in zip("ABCD", queries, strict=False):
        panel.with_target(_target(letter, query).legend_format(name).range())
    return panel


def quantiles(selector: str, histogram: str) -> list[tuple[str, str]]:
    """Half of what was measured, and all but a hundredth of it, were faster."""
    by_bucket = f"sum by (le) (rate({histogram}_bucket{selector}[$__rate_interval]))"
    return [(f"histogram_quantile({share}, {by_bucket})", name) for share, name in ((0.5, "p50"), (0.99, "p99"))]


QUANTILES: Final = {"^p50$": "blue", "^p99$": "orange"}
"""The colors of quantiles in each panel."""


def states(
    title: str,
    query: tuple[str, str],
    description: str,
    *,
    meaning: Mapping[int, tuple[str, str]],
    span: int = HALF,
    runbook: str = "",
) -> Panel:
    """A bar for each series, colored over time; `meaning` has text and color of each value."""
    results = {
        str(value): model.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(meaning.items())
    }
    expression, name = query
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(8)
        .mappings([model.ValueMap(options=results)])
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .show_value(options.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .links(_links(runbook))
        .with_target(_target("A", expression).legend_format(name).range())
    )


def rows(
    title: str,
    query: str,
    columns: Mapping[str, str],
    description: str,
    *,
    span: int = HALF,
    unit: str = "short",
    steps: Steps = (),
    runbook: str = "",
) -> Panel:
    """A table of the current series of a query, one row each.

    `columns` are labels, or `Value`, and their headers; `steps` color the values.
    """
    keep = {"include": {"names": list(columns)}}
    order = {"indexByName": {name: index for index, name in enumerate(columns)}, "renameByName": dict(columns)}
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(8)
        .unit(unit)
        .links(_links(runbook))
        .with_transformation(model.DataTransformerConfig(id_val="filterFieldsByName", options=keep))
        .with_transformation(model.DataTransformerConfig(id_val="organize", options={"excludeByName": {}, **order}))
        .with_target(_target("A", query).instant().format(PromQueryFormat.TABLE))
    )
    if steps:
        colored = model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})
        panel.thresholds(_thresholds(steps)).override_by_name(columns["Value"], [colored])
    return panel


def _target(letter: str, query: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).expr(query)


def _thresholds(steps: Steps) -> Builder[model.ThresholdsConfig]:
    built = [model.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(built)


def _links(runbook: str) -> list[Builder[model.DashboardLink]]:
    if not runbook:
        return []
    return [dashboard.DashboardLink(f"Runbook {runbook}").url(f"${{runbooks}}/{runbook}.md").target_blank(True)]
