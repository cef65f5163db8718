{{- /* vaultsync.demandMonitors: fails with a readable error if the cluster does not serve the Prometheus operator's API.
Takes a dict: `root`, the top context, and `value`, the name of the enabled value. */ -}}
{{- define "vaultsync.demandMonitors" -}}
{{- if not (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- fail (printf "%s.enabled is true, but this cluster does not serve monitoring.coreos.com/v1: install the Prometheus operator first, or set %s.enabled to false. (For `helm template`, add --api-versions monitoring.coreos.com/v1.)" .value .value) -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.endpoint: how to scrape the metrics port. Takes a dict: `root`, the top context, and `is`, the values of
a monitor. */ -}}
{{- define "vaultsync.endpoint" -}}
port: metrics
path: /metrics
{{- /* The namespace of a sample is that of its VaultSecret, not the operator's. */}}
honorLabels: true
{{- if .root.Values.settings.tlsCertFile }}
scheme: https
{{- end }}
{{- with .is.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .is.authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .is.interval }}
interval: {{ . }}
{{- end }}
{{- with .is.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .is.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .is.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
