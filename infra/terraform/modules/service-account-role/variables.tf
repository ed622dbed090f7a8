variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = length(var.name) <= 64
    error_message = "A role's name has at most 64 characters."
  }
}

variable "cluster" {
  description = "The cluster whose service accounts IAM believes."
  type = object({
    oidc_issuer       = string
    oidc_provider_arn = string
  })
}

variable "namespace" {
  description = "Namespace of the service account."
  type        = string
}

variable "service_account" {
  description = "Name of the service account."
  type        = string
}

variable "policies" {
  description = "What the role may do: policy documents (JSON) by name."
  type        = map(string)
  default     = {}
}

variable "managed_policy_arns" {
  description = "Policies that AWS writes and keeps, by a name of one's own."
  type        = map(string)
  default     = {}
}
