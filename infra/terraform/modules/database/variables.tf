variable "name" {
  description = "Name of the instance."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9]){0,62}$", var.name))
    error_message = "name must be small letters, digits and single hyphens, beginning with a letter: RDS takes no other."
  }
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in two zones at least."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "Security group whose members may connect."
  type        = string
}

variable "postgres_version" {
  description = "Major version of Postgres. Minor ones come by themselves, in the maintenance window."
  type        = number

  validation {
    condition     = contains([15, 16, 17], var.postgres_version)
    error_message = "database.postgres_version must be 15, 16 or 17: before 15 RDS takes connections without TLS."
  }
}

variable "instance_class" {
  description = "Type of the instance."
  type        = string

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "database.instance_class must be a type of RDS, such as db.t4g.small."
  }
}

variable "storage_gib" {
  description = "GiB of storage at the beginning. It grows by itself up to ten times that."
  type        = number

  validation {
    condition     = var.storage_gib >= 20 && var.storage_gib <= 6000
    error_message = "database.storage_gib must be 20 to 6000: RDS gives no smaller gp3 volume, and it may grow tenfold."
  }
}

variable "standby" {
  description = "Whether a second instance in another zone takes over when the first is lost."
  type        = bool
}

variable "backup_days" {
  description = "Days back to each second of which the database can be restored."
  type        = number

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "database.backup_days must be 7 to 35: fewer are too few to notice a mistake, RDS keeps no more."
  }
}

variable "disposable" {
  description = "Whether the instance may be deleted, and leaves no snapshot then."
  type        = bool
}
