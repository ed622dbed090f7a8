variable "name" {
  description = "What the network's parts are called."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network, in CIDR notation."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "network_cidr must be an IPv4 range of /16 to /20, such as 10.20.0.0/16: pods take an address each."
  }
}

variable "zones" {
  description = "Availability zones, at least two: EKS and RDS ask for them."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == length(var.zones) && length(var.zones) >= 2 && length(var.zones) <= 4
    error_message = "zones must name two to four different availability zones, such as [\"us-east-1a\", \"us-east-1b\"]."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, so that one zone's end leaves the others their way out; else one for all."
  type        = bool
}
