{{- /* The Leases by which leaders are elected. Every helper takes the top context. */ -}}

{{- /* vaultsync.shardLeases: the names of the Leases of all shards, as a JSON list. */ -}}
{{- define "vaultsync.shardLeases" -}}
{{- $names := list -}}
{{- range $shard := untilStep 0 (int .Values.shards) 1 -}}
{{- $names = append $names (printf "%s-%d" (include "vaultsync.installation" $) $shard) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{- /* vaultsync.possibleShardLeases: those of as many shards as there may be: the pods before an upgrade that lowers the number
renew theirs until they stop, and release them then. */ -}}
{{- define "vaultsync.possibleShardLeases" -}}
{{- include "vaultsync.shardLeases" (merge (dict "Values" (merge (dict "shards" 64) .Values)) .) -}}
{{- end -}}
