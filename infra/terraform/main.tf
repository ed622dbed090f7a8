# The AWS account under a Trainyard: all that must be there before the chart is installed, and nothing that is in the
# cluster. Terraform ends at the cluster's edge; what runs within is Helm's (infra/helm/trainyard). One root for every
# environment: what differs between them is in the .tfvars, and each has an account and a state of its own. How it is
# applied from nothing is in docs/aws.md, why it is so in docs/decisions/0019-terraform.md.

module "state" {
  source = "./modules/state"

  name       = local.name
  disposable = var.disposable
}

module "network" {
  source = "./modules/network"

  name         = local.name
  cidr         = var.network_cidr
  zones        = var.zones
  nat_per_zone = var.nat_per_zone
}

module "cluster" {
  source = "./modules/cluster"

  name               = local.name
  kubernetes_version = var.kubernetes_version
  subnet_ids         = module.network.private_subnet_ids
  api_cidrs          = var.api_cidrs
  administrators     = var.administrators
  platform_nodes     = var.platform_nodes
  training_nodes     = var.training_nodes
  log_days           = var.log_days
  disposable         = var.disposable
}

module "addons" {
  source = "./modules/addons"

  cluster_name     = module.cluster.name
  service_accounts = module.cluster.service_accounts
}

module "registry" {
  source = "./modules/registry"

  name        = local.name
  kept_images = var.kept_images
  disposable  = var.disposable
}

module "lake" {
  source = "./modules/lake"

  name            = local.name
  quarantine_days = var.quarantine_days
  log_days        = var.log_days
  disposable      = var.disposable
}

module "database" {
  source = "./modules/database"

  name                     = local.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  postgres_version         = var.database.postgres_version
  instance_class           = var.database.instance_class
  storage_gib              = var.database.storage_gib
  standby                  = var.database.standby
  backup_days              = var.database.backup_days
  disposable               = var.disposable
}

module "logins" {
  source = "./modules/logins"

  name             = local.name
  key_arn          = module.database.key_arn
  host             = module.database.host
  port             = module.database.port
  password_version = var.database.password_version
  disposable       = var.disposable
}

module "identity" {
  source = "./modules/identity"

  name              = local.name
  environment       = var.environment
  github_repository = var.github_repository
  namespace         = var.namespace
  release           = var.release
  cluster           = { name = module.cluster.name, arn = module.cluster.arn }
  service_accounts  = module.cluster.service_accounts
  lake              = { arn = module.lake.arn, key_arn = module.lake.key_arn }
  repository_arns   = values(module.registry.arns)
}
