{{- /* Image and environment of the container, used by the Deployment. Every helper takes the top context. */ -}}

{{- /* vaultsync.image: the image's full reference. global.imageRegistry replaces the registry: what is before the first slash
if it can be a host, as https://pkg.go.dev/github.com/distribution/reference decides. */ -}}
{{- define "vaultsync.image" -}}
{{- $repository := .Values.image.repository -}}
{{- if not $repository -}}
{{- fail "image.repository is not set: no image is published with this chart. Build it from the Dockerfile, push it to your registry, and name it without its tag: --set image.repository=registry.example.com/vaultsync" -}}
{{- end -}}
{{- with (.Values.global).imageRegistry -}}
{{- $path := regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "" -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $path -}}
{{- end -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.imagePullSecrets: those of all charts, by name or as objects, and those of this one, as a YAML list; empty if
there are none. */ -}}
{{- define "vaultsync.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (default (list) (.Values.global).imagePullSecrets) .Values.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.caBundle: the source of the volume with further certificate authorities; empty if there are none. It is a
whole folder: Kubernetes does not update a single file of a volume that is mounted. */ -}}
{{- define "vaultsync.caBundle" -}}
{{- with .Values.caBundle -}}
{{- if or .configMap .secret -}}
{{- if and .configMap .secret -}}
{{- fail "caBundle.configMap and caBundle.secret cannot both be set" -}}
{{- else if $.Values.settings.caFile -}}
{{- fail "settings.caFile and caBundle cannot both be set" -}}
{{- end -}}
{{- $items := list (dict "key" .key "path" "ca.crt") -}}
{{- if .configMap -}}
{{- dict "configMap" (dict "name" .configMap "items" $items) | toYaml -}}
{{- else -}}
{{- dict "secret" (dict "secretName" .secret "items" $items) | toYaml -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.env: the settings as variables, VAULTSYNC_ and the setting's name in capitals; empty ones are left out,
so the operator's own default applies. */ -}}
{{- define "vaultsync.env" -}}
{{- $settings := deepCopy .Values.settings }}
{{- if include "vaultsync.caBundle" . }}
{{- $_ := set $settings "caFile" "/etc/vaultsync/ca-bundle/ca.crt" }}
{{- end }}
{{- range $name, $value := $settings }}
{{- $text := toString $value }}
{{- if kindIs "slice" $value }}
{{- $text = join "," $value }}
{{- else if kindIs "float64" $value }}
{{- $text = int64 $value | toString }}
{{- end }}
{{- if $text }}
- name: VAULTSYNC_{{ $name | snakecase | upper }}
  value: {{ quote $text }}
{{- end }}
{{- end }}
- name: VAULTSYNC_SHARDS
  value: {{ .Values.shards | int64 | quote }}
- name: VAULTSYNC_LEASE_NAMESPACE
  value: {{ .Values.leaderElection.namespace }}
- name: VAULTSYNC_INSTALLATION
  value: {{ include "vaultsync.installation" . }}
{{- end -}}
