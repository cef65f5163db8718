"""The chart's dashboard as a picture: ten lively minutes on real parts, asked of a real Prometheus, drawn."""
