# Staging: small, one way out, may be destroyed with all it holds. Put in your own account, addresses and repository.
environment       = "staging"
account_id        = "111122223333"
region            = "us-east-1"
zones             = ["us-east-1a", "us-east-1b"]
network_cidr      = "10.20.0.0/16"
nat_per_zone      = false
github_repository = "acme/trainyard"
disposable        = true

kubernetes_version = "1.35"
api_cidrs          = ["203.0.113.0/24"]
administrators     = { platform = "arn:aws:iam::111122223333:role/platform-engineer" }
platform_nodes     = { instance_types = ["t3.large"], min = 2, max = 3, disk_gib = 40 }
training_nodes     = { instance_types = ["m7i.xlarge", "m6i.xlarge"], max = 2, disk_gib = 60, capacity = "SPOT" }

kept_images     = 30
quarantine_days = 90
log_days        = 30

database = {
  postgres_version = 17
  instance_class   = "db.t4g.small"
  storage_gib      = 20
  standby          = false
  backup_days      = 7
  password_version = 1
}
