# Production: a way out and a standby in another zone, nothing that a destroy could take. Put in your own account,
# addresses and repository.
environment       = "production"
account_id        = "444455556666"
region            = "us-east-1"
zones             = ["us-east-1a", "us-east-1b", "us-east-1c"]
network_cidr      = "10.30.0.0/16"
nat_per_zone      = true
github_repository = "acme/trainyard"

kubernetes_version = "1.35"
api_cidrs          = ["203.0.113.0/24"]
administrators     = { platform = "arn:aws:iam::444455556666:role/platform-engineer" }
platform_nodes     = { instance_types = ["m7i.large"], min = 2, max = 4, disk_gib = 60 }
training_nodes     = { instance_types = ["m7i.2xlarge", "m6i.2xlarge"], max = 4, disk_gib = 100, capacity = "ON_DEMAND" }

kept_images     = 100
quarantine_days = 365
log_days        = 365

database = {
  postgres_version = 17
  instance_class   = "db.m7g.large"
  storage_gib      = 50
  standby          = true
  backup_days      = 35
  password_version = 1
}
