variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "Kubernetes of the control plane, 1.33 or later. The chart alone would take 1.29."
  type        = string

  validation {
    condition     = can(regex("^1\\.(3[3-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be 1.33 or later, as two numbers such as \"1.35\": EKS ends all older ones by March 2027."
  }
}

variable "subnet_ids" {
  description = "Private subnets of control plane and nodes, in two zones at least."
  type        = list(string)
}

variable "api_cidrs" {
  description = "Addresses from which the cluster's API may be called over the internet; none: from within the network alone."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrnetmask(cidr))])
    error_message = "api_cidrs must be IPv4 ranges such as 203.0.113.0/24; leave the list empty for an API that the internet does not see."
  }
}

variable "administrators" {
  description = "ARNs of the IAM roles or users that may do everything on the cluster, by a name of one's own."
  type        = map(string)

  validation {
    condition     = length(var.administrators) > 0 && alltrue([for arn in values(var.administrators) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "administrators must name at least one IAM role or user by its ARN: whoever makes the cluster is not let into it otherwise."
  }
}

variable "platform_nodes" {
  description = "Nodes of the platform itself: how many at least and at most, of which types, with disks of how many GiB."
  type = object({
    instance_types = list(string)
    min            = number
    max            = number
    disk_gib       = number
  })

  validation {
    condition     = length(var.platform_nodes.instance_types) > 0
    error_message = "platform_nodes.instance_types must name at least one type, such as t3.large: with none EKS takes t3.medium."
  }

  validation {
    condition     = var.platform_nodes.min >= 1 && var.platform_nodes.max >= var.platform_nodes.min
    error_message = "platform_nodes needs min of 1 or more, and max no smaller than min: Prefect and MLflow run there all the time."
  }

  validation {
    condition     = var.platform_nodes.disk_gib >= 20
    error_message = "platform_nodes.disk_gib must be 20 or more: system and images take most of that."
  }
}

variable "training_nodes" {
  description = "Nodes of the trainings: how many at most, of which types, on demand or spot, with disks of how many GiB."
  type = object({
    instance_types = list(string)
    max            = number
    disk_gib       = number
    capacity       = string
  })

  validation {
    condition     = length(var.training_nodes.instance_types) > 0
    error_message = "training_nodes.instance_types must name at least one type, such as m7i.xlarge: with none EKS takes t3.medium."
  }

  validation {
    condition     = var.training_nodes.max >= 1
    error_message = "training_nodes.max must be 1 or more: with none no training would ever start."
  }

  validation {
    condition     = contains(["ON_DEMAND", "SPOT"], var.training_nodes.capacity)
    error_message = "training_nodes.capacity must be ON_DEMAND or SPOT."
  }

  validation {
    condition     = var.training_nodes.disk_gib >= 20
    error_message = "training_nodes.disk_gib must be 20 or more: the image and the scratch space of a run must fit."
  }
}

variable "log_days" {
  description = "Days that the control plane's logs are kept."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_days)
    error_message = "log_days must be one of the spans CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "disposable" {
  description = "Whether the key may go after a week."
  type        = bool
}
