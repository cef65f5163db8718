{{- /* What `helm test` runs. */ -}}

{{- /* vaultsync.testLabels: the labels of its pod, which the operator's selectors do not match. Takes the top context. */ -}}
{{- define "vaultsync.testLabels" -}}
app.kubernetes.io/name: {{ include "vaultsync.name" . | trunc 58 }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* vaultsync.testMetadata: the metadata of an object that exists during a test. Takes a dict: `root`, the top context, and
`weight`, its place in the order. */ -}}
{{- define "vaultsync.testMetadata" -}}
{{- $labels := include "vaultsync.testLabels" .root | fromYaml -}}
{{- $standard := include "vaultsync.labels" .root | fromYaml -}}
{{- $hook := dict
  "helm.sh/hook" "test"
  "helm.sh/hook-weight" .weight
  "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded"
-}}
name: {{ include "vaultsync.fullname" .root | trunc 58 }}-test
namespace: {{ include "vaultsync.namespace" .root }}
labels:
  {{- mergeOverwrite $standard $labels | toYaml | nindent 2 }}
annotations:
  {{- mergeOverwrite (dict) .root.Values.commonAnnotations $hook | toYaml | nindent 2 }}
{{- end -}}
