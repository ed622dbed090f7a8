variable "environment" {
  description = "Name of the environment: staging or production. The names of all that is made end or begin with it."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production: these have a .tfvars and a GitHub environment."
  }
}

variable "account_id" {
  description = "Number of the AWS account of the environment. Credentials of any other are refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account, in quotes."
  }
}

variable "region" {
  description = "Region of everything."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region of AWS, such as us-east-1."
  }
}

variable "zones" {
  description = "Availability zones of the region, two to four."
  type        = list(string)

  validation {
    condition     = alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "zones must be those of the region: a zone's name begins with its region's."
  }
}

variable "network_cidr" {
  description = "Addresses of the network, /16 to /20. Nothing that is to be peered with it may use them."
  type        = string
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone rather than one for all."
  type        = bool
}

variable "kubernetes_version" {
  description = "Kubernetes of the control plane, 1.33 or later."
  type        = string
}

variable "api_cidrs" {
  description = "Addresses from which the cluster's API may be called over the internet; none: from within the network alone."
  type        = list(string)
}

variable "administrators" {
  description = "ARNs of the IAM roles or users that may do everything on the cluster, by a name of one's own."
  type        = map(string)
}

variable "platform_nodes" {
  description = "Nodes of the platform itself."
  type = object({
    instance_types = list(string)
    min            = number
    max            = number
    disk_gib       = number
  })
}

variable "training_nodes" {
  description = "Nodes of the trainings, none while none runs."
  type = object({
    instance_types = list(string)
    max            = number
    disk_gib       = number
    capacity       = string
  })
}

variable "kept_images" {
  description = "How many images each repository keeps."
  type        = number
}

variable "quarantine_days" {
  description = "Days that broken rows stay in the lake's `quarantine/`."
  type        = number
}

variable "log_days" {
  description = "Days that the logs of the cluster and of the access to the lake are kept."
  type        = number
}

variable "database" {
  description = "The Postgres instance; password_version one higher gives each user a new password."
  type = object({
    postgres_version = number
    instance_class   = string
    storage_gib      = number
    standby          = bool
    backup_days      = number
    password_version = number
  })
}

variable "github_repository" {
  description = "Repository whose GitHub environment of the same name may deploy, as owner/name."
  type        = string
}

variable "namespace" {
  description = "Namespace the chart is installed in."
  type        = string
  default     = "trainyard"
}

variable "release" {
  description = "Name of the chart's release."
  type        = string
  default     = "trainyard"
}

variable "disposable" {
  description = "Whether a destroy may take data with it: objects, images, the database without a last snapshot."
  type        = bool
  default     = false

  validation {
    condition     = !(var.disposable && var.environment == "production")
    error_message = "disposable must be false in production: a destroy would take months, models and the database with it."
  }
}
