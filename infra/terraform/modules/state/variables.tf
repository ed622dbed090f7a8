variable "name" {
  description = "What the bucket's name begins with; the account's number ends it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "name must be 3 to 41 small letters, digits and hyphens, beginning with a letter: the bucket's name begins with it."
  }
}

variable "disposable" {
  description = "Whether a destroy takes the state with it."
  type        = bool
}
