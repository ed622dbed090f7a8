variable "name" {
  description = "Name of the database instance; the secrets' names begin with it."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the secrets."
  type        = string
}

variable "host" {
  description = "Name of the instance in the network."
  type        = string
}

variable "port" {
  description = "Port of the instance."
  type        = number
}

variable "password_version" {
  description = "Counts the passwords. One higher makes new ones."
  type        = number

  validation {
    condition     = var.password_version >= 1 && floor(var.password_version) == var.password_version
    error_message = "database.password_version must be a whole number from 1 on."
  }
}

variable "disposable" {
  description = "Whether the secrets are gone at once when they are deleted."
  type        = bool
}
