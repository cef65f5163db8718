{{- /* Names, labels and metadata of all objects. Every helper documents its argument. */ -}}

{{- /* vaultsync.name: the application's name. Takes the top context. */ -}}
{{- define "vaultsync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* vaultsync.fullname: the name of all objects: release and chart, or the release's alone if it contains the chart's.
Takes the top context. */ -}}
{{- define "vaultsync.fullname" -}}
{{- $name := include "vaultsync.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.namespace: the namespace of the operator. Takes the top context. */ -}}
{{- define "vaultsync.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- /* vaultsync.installation: what this installation is called in the cluster: the full name, which releases in several
namespaces may share, and the namespace. Takes the top context. */ -}}
{{- define "vaultsync.installation" -}}
{{- printf "%s.%s" (include "vaultsync.fullname" .) (include "vaultsync.namespace" .) -}}
{{- end -}}

{{- /* vaultsync.sharedName: the name of an object that stands beside those of other installations: it is cluster-scoped, or in a
namespace that they share. Takes a dict: `root`, the top context, and `name`, what it is for. */ -}}
{{- define "vaultsync.sharedName" -}}
{{- printf "%s.%s" (include "vaultsync.installation" .root) .name -}}
{{- end -}}

{{- /* vaultsync.serviceAccountName: the ServiceAccount of the pod. Takes the top context. */ -}}
{{- define "vaultsync.serviceAccountName" -}}
{{- $made := ternary (include "vaultsync.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $made .Values.serviceAccount.name -}}
{{- end -}}

{{- /* vaultsync.selectorLabels: the labels that identify our pods. A Deployment's selector is immutable, so nothing
that changes belongs here. Takes the top context. */ -}}
{{- define "vaultsync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vaultsync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* vaultsync.labels: the labels of every object. Takes the top context. */ -}}
{{- define "vaultsync.labels" -}}
{{- $standard := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/managed-by" .Release.Service
-}}
{{- $selector := include "vaultsync.selectorLabels" . | fromYaml -}}
{{- mergeOverwrite (dict) .Values.commonLabels $standard $selector | toYaml -}}
{{- end -}}

{{- /* vaultsync.metadata: the fields under `metadata:` of every object.
Takes a dict: `root`, the top context; optional: `name` instead of the full name; `namespace`, empty for cluster-scoped
objects; `labels` and `annotations`, dicts of the object's own. */ -}}
{{- define "vaultsync.metadata" -}}
{{- $root := .root -}}
name: {{ default (include "vaultsync.fullname" $root) .name }}
{{- with hasKey . "namespace" | ternary .namespace (include "vaultsync.namespace" $root) }}
namespace: {{ . }}
{{- end }}
labels:
  {{- mergeOverwrite (dict) (default (dict) .labels) (include "vaultsync.labels" $root | fromYaml) | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) $root.Values.commonAnnotations (default (dict) .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
