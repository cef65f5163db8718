{{- /* ValidatingAdmissionPolicies that bind the operator's ServiceAccount. */ -}}

{{- /* vaultsync.user: the user name of the operator's ServiceAccount. Takes the top context. */ -}}
{{- define "vaultsync.user" -}}
{{- printf "system:serviceaccount:%s:%s" (include "vaultsync.namespace" .) (include "vaultsync.serviceAccountName" .) -}}
{{- end -}}

{{- /* vaultsync.policyMetadata: the metadata of a policy and of its binding.
Takes a dict: `root`, the top context, and `policy`, what it is about. */ -}}
{{- define "vaultsync.policyMetadata" -}}
{{- $name := include "vaultsync.sharedName" (dict "root" .root "name" .policy) -}}
{{- include "vaultsync.metadata" (dict "root" .root "name" $name "namespace" "") -}}
{{- end -}}

{{- /* vaultsync.policyBinding: the binding of a policy. Takes a dict like vaultsync.policyMetadata. */ -}}
{{- define "vaultsync.policyBinding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "vaultsync.policyMetadata" . | nindent 2 }}
spec:
  policyName: {{ include "vaultsync.sharedName" (dict "root" .root "name" .policy) }}
  validationActions: [Deny, Audit]
{{- end -}}
