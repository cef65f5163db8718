"""The picture of the chart's dashboard: ten minutes of a workload, queried from a real Prometheus, and drawn."""
