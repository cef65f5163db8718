{{- /* vaultsync.demandMonitors: fails with a readable error if the cluster does not serve the API of a monitor or a rule.
Takes a dict: `root`, the top context; `value`, the name of the enabled value; `apiVersion`, the API. */ -}}
{{- define "vaultsync.demandMonitors" -}}
{{- if not (.root.Capabilities.APIVersions.Has .apiVersion) -}}
{{- $who := ternary "enable AKS's managed Prometheus" "install the Prometheus operator" (hasPrefix "azmonitoring" .apiVersion) -}}
{{- fail (printf "%s.enabled is true, but this cluster does not serve %s: %s first, or set %s.enabled to false. (For `helm template`, add --api-versions %s.)" .value .apiVersion $who .value .apiVersion) -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.monitorMetadata: the fields under `metadata:` of a monitor or of the rules. In a namespace that installations
may share, the name is that of the installation. Takes a dict: `root`, the top context, and `is`, its values. */ -}}
{{- define "vaultsync.monitorMetadata" -}}
{{- $own := include "vaultsync.namespace" .root -}}
{{- $namespace := default $own .is.namespace -}}
{{- $name := ternary (include "vaultsync.fullname" .root) (include "vaultsync.installation" .root) (eq $namespace $own) -}}
{{- include "vaultsync.metadata" (dict "root" .root "name" $name "namespace" $namespace "labels" .is.labels "annotations" .is.annotations) -}}
{{- end -}}

{{- /* vaultsync.monitor: a monitor but for its endpoints. Takes a dict: `root`, the top context; `kind`; `value`, the name of
its values; `is`, its values. */ -}}
{{- define "vaultsync.monitor" -}}
{{- include "vaultsync.demandMonitors" (dict "root" .root "value" .value "apiVersion" .is.apiVersion) -}}
apiVersion: {{ .is.apiVersion }}
kind: {{ .kind }}
metadata:
  {{- include "vaultsync.monitorMetadata" . | nindent 2 }}
spec:
  namespaceSelector:
    matchNames:
      - {{ include "vaultsync.namespace" .root }}
  {{- if hasPrefix "azmonitoring" .is.apiVersion }}
  {{- /* Without these limits of its own, it drops the samples. */}}
  labelLimit: 63
  labelNameLengthLimit: 511
  labelValueLengthLimit: 1023
  {{- end }}
  selector:
    matchLabels:
      {{- include "vaultsync.selectorLabels" .root | nindent 6 }}
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
