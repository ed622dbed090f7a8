variable "name" {
  description = "What the repositories' names begin with."
  type        = string
}

variable "images" {
  description = "The images, a repository each."
  type        = set(string)
  default     = ["flows", "server", "mlflow"]
}

variable "kept_images" {
  description = "How many images a repository keeps, the newest. A deploy can be rolled back no further."
  type        = number

  validation {
    condition     = var.kept_images >= 10 && floor(var.kept_images) == var.kept_images
    error_message = "kept_images must be a whole number of 10 or more: an image that is deployed must not expire under its pods."
  }
}

variable "disposable" {
  description = "Whether a destroy takes the images with it."
  type        = bool
}
