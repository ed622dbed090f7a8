variable "name" {
  description = "Name of the bucket. All of AWS shares these names."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name has 3 to 63 small letters, digits and hyphens, and begins and ends with none of the hyphens."
  }
}

variable "key_arn" {
  description = "KMS key of the objects; null for keys that S3 keeps itself."
  type        = string
  default     = null
}

variable "policies" {
  description = "Policy documents (JSON) whose statements the bucket's policy has as well."
  type        = list(string)
  default     = []
}

variable "disposable" {
  description = "Whether a destroy takes the objects with it. Otherwise S3 refuses to delete a bucket that is not empty."
  type        = bool
  default     = false
}
