terraform {
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # Bucket and region are in the environment's .tfbackend.
  backend "s3" {
    key          = "trainyard.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = { Project = "trainyard", Environment = var.environment }
  }
}

locals {
  name = "trainyard-${var.environment}"
}
