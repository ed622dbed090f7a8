variable "name" {
  description = "What the buckets' names begin with; the account's number ends them."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "name must be 3 to 41 small letters, digits and hyphens, beginning with a letter: buckets' names begin with it."
  }
}

variable "quarantine_days" {
  description = "Days that broken rows stay in `quarantine/`."
  type        = number

  validation {
    condition     = var.quarantine_days >= 30
    error_message = "quarantine_days must be 30 or more: people must have time to look at what was refused."
  }
}

variable "log_days" {
  description = "Days that access logs are kept."
  type        = number

  validation {
    condition     = var.log_days >= 30
    error_message = "log_days must be 30 or more: who asks what happened asks late."
  }
}

variable "disposable" {
  description = "Whether a destroy takes every object with it."
  type        = bool
}
