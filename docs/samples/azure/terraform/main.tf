# A vault, an AKS cluster, and an identity with which vaultsync reads the vault: docs/azure.md, steps 1 to 3.
#
#   terraform init
#   terraform apply -var vault=NAME    # unique in all of Azure; ARM_SUBSCRIPTION_ID names the subscription

terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "vault" {
  description = "Name of the vault."
  type        = string
}

variable "location" {
  description = "Azure region of everything."
  type        = string
  default     = "westeurope"
}

variable "namespace" {
  description = "Namespace of the Helm release."
  type        = string
  default     = "vaultsync-system"
}

variable "service_account" {
  description = "ServiceAccount of the operator: the name of the Helm release."
  type        = string
  default     = "vaultsync"
}

data "azurerm_client_config" "current" {}

resource "azurerm_resource_group" "vaultsync" {
  name     = "vaultsync"
  location = var.location
}

resource "azurerm_key_vault" "vaultsync" {
  name                       = var.vault
  resource_group_name        = azurerm_resource_group.vaultsync.name
  location                   = azurerm_resource_group.vaultsync.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = true
}

resource "azurerm_kubernetes_cluster" "vaultsync" {
  name                      = "vaultsync"
  resource_group_name       = azurerm_resource_group.vaultsync.name
  location                  = azurerm_resource_group.vaultsync.location
  dns_prefix                = "vaultsync"
  oidc_issuer_enabled       = true
  workload_identity_enabled = true

  default_node_pool {
    name       = "system"
    node_count = 1
    vm_size    = "Standard_D2s_v5"
  }

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_user_assigned_identity" "vaultsync" {
  name                = "vaultsync"
  resource_group_name = azurerm_resource_group.vaultsync.name
  location            = azurerm_resource_group.vaultsync.location
}

resource "azurerm_federated_identity_credential" "vaultsync" {
  name                      = "vaultsync"
  user_assigned_identity_id = azurerm_user_assigned_identity.vaultsync.id
  issuer                    = azurerm_kubernetes_cluster.vaultsync.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.namespace}:${var.service_account}"
  audience                  = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "vaultsync" {
  scope                = azurerm_key_vault.vaultsync.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.vaultsync.principal_id
  principal_type       = "ServicePrincipal"
}

output "client_id" {
  description = "The chart's value workloadIdentity.clientId."
  value       = azurerm_user_assigned_identity.vaultsync.client_id
}

output "vault_url" {
  description = "The vaultUrl of VaultGrants and VaultSecrets."
  value       = trimsuffix(azurerm_key_vault.vaultsync.vault_uri, "/")
}
