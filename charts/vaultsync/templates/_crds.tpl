{{- /* CustomResourceDefinitions that others have created: `kubectl apply -f crds/`, or another release. */ -}}

{{- /* vaultsync.othersCrds: those that are not of this release, and so are left out of it: as a JSON list of dicts with `name`,
`by`, who has created it, and `lacks`, whether fields are missing that this version has. Helm refuses to install what it has not
created, and deletes what an upgrade leaves out: so an upgrade leaves out only what is annotated to be kept, as the files in
crds/ are. Takes the top context. */ -}}
{{- define "vaultsync.othersCrds" -}}
{{- $others := list -}}
{{- if .Values.crds.enabled -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $crd := $.Files.Get $path | fromYaml -}}
{{- with lookup $crd.apiVersion $crd.kind "" $crd.metadata.name -}}
{{- $marks := default (dict) .metadata.annotations -}}
{{- $release := printf "%s in namespace %s" (get $marks "meta.helm.sh/release-name") (get $marks "meta.helm.sh/release-namespace") -}}
{{- $labelled := eq (dig "metadata" "labels" "app.kubernetes.io/managed-by" "" .) $.Release.Service -}}
{{- $ours := and $labelled (eq $release (printf "%s in namespace %s" $.Release.Name $.Release.Namespace)) -}}
{{- $kept := eq (get $marks "helm.sh/resource-policy") "keep" -}}
{{- if and (not $ours) (or $.Release.IsInstall $kept) -}}
{{- $by := hasKey $marks "meta.helm.sh/release-name" | ternary (printf "the release %s" $release) "kubectl" -}}
{{- $schemas := dict -}}
{{- range .spec.versions -}}
{{- $_ := set $schemas .name .schema -}}
{{- end -}}
{{- $lacks := false -}}
{{- range $crd.spec.versions -}}
{{- $there := default (dict) (get $schemas .name) -}}
{{- /* A merge adds only what is not there. */ -}}
{{- $lacks = or $lacks (ne (toJson $there) (toJson (merge (deepCopy $there) .schema))) -}}
{{- end -}}
{{- $others = append $others (dict "name" $crd.metadata.name "by" $by "lacks" $lacks) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $others -}}
{{- end -}}

{{- /* vaultsync.takeCrd: the commands by which a release takes a definition over. Takes a dict: `root`, the top context, and
`name`, that of the definition. */ -}}
{{- define "vaultsync.takeCrd" -}}
{{- $release := .root.Release }}
   kubectl label --overwrite crd {{ .name }} app.kubernetes.io/managed-by={{ $release.Service }}
   kubectl annotate --overwrite crd {{ .name }} meta.helm.sh/release-name={{ $release.Name }} meta.helm.sh/release-namespace={{ $release.Namespace }}
{{- end -}}
