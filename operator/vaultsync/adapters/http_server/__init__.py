"""The operator's HTTP servers, for metrics and for probes, which no client can fill."""

from vaultsync.adapters.http_server.endpoints import TokenReviewer, serve_metrics, serve_probes

__all__ = ["TokenReviewer", "serve_metrics", "serve_probes"]
