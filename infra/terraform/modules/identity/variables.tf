variable "name" {
  description = "What the roles' names begin with."
  type        = string
}

variable "environment" {
  description = "GitHub environment whose jobs may deploy."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*$", var.environment))
    error_message = "environment must be small letters, digits and hyphens: a pattern would let other environments deploy."
  }
}

variable "github_repository" {
  description = "Repository whose jobs may deploy, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name, such as acme/trainyard: no address, no pattern."
  }
}

variable "namespace" {
  description = "Namespace of the platform."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be a name as Kubernetes takes it: small letters, digits and hyphens."
  }
}

variable "release" {
  description = "Name of the chart's release, with which its service accounts' names begin."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$", var.release))
    error_message = "release must be a name as Helm takes it: at most 53 small letters, digits and hyphens."
  }
}

variable "cluster" {
  description = "The cluster that is deployed to."
  type = object({
    name = string
    arn  = string
  })
}

variable "service_accounts" {
  description = "What IAM needs to believe a service account of the cluster."
  type = object({
    oidc_issuer       = string
    oidc_provider_arn = string
  })
}

variable "lake" {
  description = "The lake's bucket and key."
  type = object({
    arn     = string
    key_arn = string
  })
}

variable "repository_arns" {
  description = "Repositories of the images."
  type        = list(string)
}
