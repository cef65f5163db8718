"""Manifests of the peers in the shapes that their documentation has; nothing of them suspends a VaultSecret."""

from typing import Final

STORE: Final = """\
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: azure, namespace: shop}
spec:
  provider:
    azurekv:
      authType: WorkloadIdentity
      vaultUrl: https://shop.vault.azure.net
      serviceAccountRef: {name: vault-reader}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: vault-reader
  namespace: shop
  annotations:
    azure.workload.identity/client-id: 11111111-1111-1111-1111-111111111111
    azure.workload.identity/tenant-id: 22222222-2222-2222-2222-222222222222
"""

EXTERNAL_SECRET: Final = """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: login
  namespace: shop
  labels: {team: payments}
  annotations: {note: of the shop}
spec:
  refreshInterval: 1h
  refreshPolicy: Periodic
  secretStoreRef: {kind: SecretStore, name: azure}
  target:
    name: shop-login
    creationPolicy: Orphan
    deletionPolicy: Delete
    immutable: true
    template:
      engineVersion: v2
      mergePolicy: Replace
      type: example.com/login
      metadata:
        labels: {tier: web}
        annotations: {who: payments}
      data:
        name: "{{ .user }}"
        url: "postgres://{{ .password | urlquery }}@{{ .host | lower }}"
  data:
    - secretKey: user
      remoteRef: {key: db-user, version: 0123456789abcdef0123456789abcdef}
    - secretKey: password
      remoteRef: {key: secret/db-password, property: db.password, decodingStrategy: Base64}
    - secretKey: host
      remoteRef: {key: db-host}
  dataFrom:
    - extract: {key: config, version: 0123456789abcdef0123456789abcdef, decodingStrategy: Base64}
      rewrite:
        - regexp: {source: "^app_(.*)$", target: "$1"}
        - transform: {template: "{{ .value | upper }}"}
        - regexp: {source: "(.*)", target: "DB_$1"}
    - find:
        name: {regexp: "^shop-.*"}
        tags: {tier: web}
"""

CLUSTER_EXTERNAL_SECRET: Final = """\
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: central}
spec:
  provider:
    azurekv:
      authType: ServicePrincipal
      environmentType: PublicCloud
      vaultUrl: https://central.vault.azure.net
      tenantId: 22222222-2222-2222-2222-222222222222
      authSecretRef:
        clientId: {name: azure, key: id}
        clientSecret: {name: azure, key: secret}
---
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: registry}
spec:
  externalSecretName: pull
  externalSecretMetadata:
    labels: {team: platform}
    annotations: {note: for all}
  namespaces: [shop, web]
  externalSecretSpec:
    secretStoreRef: {kind: ClusterSecretStore, name: central}
    target:
      template: {type: kubernetes.io/dockerconfigjson}
    data:
      - secretKey: .dockerconfigjson
        remoteRef: {key: registry}
"""

MANAGED_STORE: Final = """\
apiVersion: external-secrets.io/v1beta1
kind: ClusterSecretStore
metadata: {name: nodes}
spec:
  provider:
    azurekv:
      authType: ManagedIdentity
      identityId: 33333333-3333-3333-3333-333333333333
      environmentType: USGovernmentCloud
      vaultUrl: https://gov.vault.usgovcloudapi.net
---
apiVersion: external-secrets.io/v1beta1
kind: ExternalSecret
metadata: {name: gov, namespace: shop}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: nodes}
  data:
    - secretKey: password
      remoteRef: {key: db-password}
"""

AKV2K8S: Final = """\
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata:
  name: password
  namespace: shop
  labels: {team: payments}
  annotations: {note: of the shop}
spec:
  vault:
    name: shop
    object: {name: db-password, type: secret, version: 0123456789abcdef0123456789abcdef}
  output:
    secret: {name: login, type: Opaque, dataKey: password}
    transform: [base64decode]
---
apiVersion: spv.no/v1
kind: AzureKeyVaultSecret
metadata: {name: config, namespace: shop}
spec:
  vault:
    name: shop
    object: {name: app-config, type: multi-key-value-secret, contentType: application/x-yaml}
  output:
    secret: {name: login}
---
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: tls, namespace: shop}
spec:
  vault:
    name: shop
    object: {name: web, type: certificate}
  output:
    secret: {name: web-tls, type: kubernetes.io/tls, chainOrder: ensureserverfirst}
"""

CSI: Final = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: shop
  namespace: shop
  labels: {team: payments}
  annotations: {note: of the shop}
spec:
  provider: azure
  secretObjects:
    - secretName: login
      type: example.com/login
      labels: {tier: web}
      annotations: {who: payments}
      data:
        - {objectName: user, key: username}
        - {objectName: db-password/0, key: password}
        - {objectName: db-password/1, key: previous}
    - secretName: web-tls
      type: kubernetes.io/tls
      data:
        - {objectName: web, key: tls.crt}
        - {objectName: web, key: tls.key}
  parameters:
    usePodIdentity: "false"
    useVMManagedIdentity: "true"
    userAssignedIdentityID: 33333333-3333-3333-3333-333333333333
    cloudName: AzureChinaCloud
    keyvaultName: shop
    tenantID: 22222222-2222-2222-2222-222222222222
    objects: |
      array:
        - |
          objectName: db-user
          objectType: secret
          objectAlias: user
          objectVersion: 0123456789abcdef0123456789abcdef
          objectEncoding: base64
        - |
          objectName: db-password
          objectType: secret
          objectVersionHistory: 2
        - |
          objectName: web
          objectType: secret
          objectFormat: pem
"""

SECRET_SYNC: Final = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: shop, namespace: shop}
spec:
  provider: azure
  parameters:
    clientID: 11111111-1111-1111-1111-111111111111
    keyvaultName: shop
    tenantId: 22222222-2222-2222-2222-222222222222
    objects: |
      array:
        - |
          objectName: db-user
          objectType: secret
---
apiVersion: secret-sync.x-k8s.io/v1alpha1
kind: SecretSync
metadata:
  name: login
  namespace: shop
  labels: {team: payments}
  annotations: {note: of the shop}
spec:
  serviceAccountName: vault-reader
  secretProviderClassName: shop
  secretObject:
    type: example.com/login
    labels: {tier: web}
    annotations: {who: payments}
    data:
      - {sourcePath: db-user, targetKey: username}
"""

SAMPLES: Final = {
    "ExternalSecret": f"{STORE}---\n{EXTERNAL_SECRET}",
    "ClusterExternalSecret": CLUSTER_EXTERNAL_SECRET,
    "a store with a managed identity": MANAGED_STORE,
    "AzureKeyVaultSecret": AKV2K8S,
    "SecretProviderClass": CSI,
    "SecretSync": SECRET_SYNC,
}
