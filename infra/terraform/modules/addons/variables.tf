variable "cluster_name" {
  description = "Name of the cluster; its nodes must be there, or CoreDNS never becomes active."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,50}$", var.cluster_name))
    error_message = "cluster_name must be at most 51 small letters, digits and hyphens, as the roles' names begin with it."
  }
}

variable "service_accounts" {
  description = "What IAM needs to believe a service account of the cluster."
  type = object({
    oidc_issuer       = string
    oidc_provider_arn = string
  })
}
