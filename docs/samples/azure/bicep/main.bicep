// A vault, an AKS cluster, and an identity with which vaultsync reads the vault: docs/azure.md, steps 1 to 3.
//
//   az deployment group create --resource-group GROUP --template-file main.bicep --parameters vaultName=NAME

@description('Name of the vault, unique in all of Azure.')
param vaultName string

@description('Azure region of everything.')
param location string = resourceGroup().location

@description('Namespace of the Helm release.')
param namespace string = 'vaultsync-system'

@description('ServiceAccount of the operator: the name of the Helm release.')
param serviceAccount string = 'vaultsync'

// Key Vault Secrets User: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
var secretsUser = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '4633458b-17de-408a-b874-0445c86b69e6'
)

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: vaultName
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
  }
}

resource cluster 'Microsoft.ContainerService/managedClusters@2024-09-01' = {
  name: 'vaultsync'
  location: location
  identity: { type: 'SystemAssigned' }
  properties: {
    dnsPrefix: 'vaultsync'
    agentPoolProfiles: [
      { name: 'system', mode: 'System', count: 1, vmSize: 'Standard_D2s_v5' }
    ]
    oidcIssuerProfile: { enabled: true }
    securityProfile: { workloadIdentity: { enabled: true } }
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'vaultsync'
  location: location
}

resource credential 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = {
  parent: identity
  name: 'vaultsync'
  properties: {
    issuer: cluster.properties.oidcIssuerProfile.issuerURL
    subject: 'system:serviceaccount:${namespace}:${serviceAccount}'
    audiences: ['api://AzureADTokenExchange']
  }
}

resource role 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identity.id, secretsUser)
  scope: vault
  properties: {
    roleDefinitionId: secretsUser
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

@description('The chart\'s value workloadIdentity.clientId.')
output clientId string = identity.properties.clientId

@description('The vaultUrl of VaultGrants and VaultSecrets.')
output vaultUrl string = 'https://${vault.name}${environment().suffixes.keyvaultDns}'
