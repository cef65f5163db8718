{{- /* Image and environment of the container, used by the Deployment. Every helper takes the top context. */ -}}

{{- /* vaultsync.image: the image's full reference. */ -}}
{{- define "vaultsync.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* vaultsync.env: the settings as variables, VAULTSYNC_ and the setting's name in capitals; empty ones are left out,
so the operator's own default applies. */ -}}
{{- define "vaultsync.env" -}}
{{- range $name, $value := .Values.settings }}
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
{{- end -}}
