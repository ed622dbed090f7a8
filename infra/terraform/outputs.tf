# Those named as the chart's values are such: `make terraform-values` writes them into a values file.

output "lake" {
  description = "The chart's values `lake`."
  value       = { bucket = module.lake.bucket, region = var.region }
}

output "jobs" {
  description = "The chart's values `jobs`."
  value       = { serviceAccountAnnotations = { "eks.amazonaws.com/role-arn" = module.identity.jobs_role_arn } }
}

output "deploy" {
  description = "The chart's values `deploy`."
  value = {
    environment               = var.environment
    serviceAccountAnnotations = { "eks.amazonaws.com/role-arn" = module.identity.deploys_role_arn }
  }
}

output "reconcile" {
  description = "The chart's values `reconcile`."
  value       = { serviceAccountAnnotations = { "eks.amazonaws.com/role-arn" = module.identity.reconcile_role_arn } }
}

output "mlflow" {
  description = "The chart's values `mlflow`."
  value       = { serviceAccountAnnotations = { "eks.amazonaws.com/role-arn" = module.identity.mlflow_role_arn } }
}

# The Secrets are those of `make database-secrets`, the ConfigMap is that of docs/aws.md.
output "postgres" {
  description = "The chart's values `postgres`."
  value = {
    prefectSecret     = "trainyard-database-prefect"
    mlflowSecret      = "trainyard-database-mlflow"
    mlflowUsersSecret = "trainyard-database-mlflow-users"
    ownerSecret       = "trainyard-database-owner"
    caConfigMap       = "trainyard-database-authority"
  }
}

output "registry" {
  description = "What the references of the chart's values `images` begin with."
  value       = module.registry.prefix
}

output "cluster" {
  description = "Name of the cluster: `aws eks update-kubeconfig --name`."
  value       = module.cluster.name
}

output "namespace" {
  description = "Namespace whose service accounts have the roles."
  value       = var.namespace
}

output "release" {
  description = "Release whose service accounts have the roles."
  value       = var.release
}

output "training" {
  description = "Job variables of a deployment whose runs go to the nodes of the trainings."
  value       = module.cluster.training
}

output "autoscaler_role_arn" {
  description = "Role of the service account kube-system/cluster-autoscaler."
  value       = module.addons.autoscaler_role_arn
}

output "deploy_role_arn" {
  description = "Role that deploys from GitHub take."
  value       = module.identity.deploy_role_arn
}

output "database" {
  description = "Where the database is, and the secrets of its owner and its users: make database-secrets."
  value = {
    host             = module.database.host
    port             = module.database.port
    owner_secret_arn = module.database.owner_secret_arn
    user_secret_arns = module.logins.secret_arns
  }
}

output "state" {
  description = "Bucket of Terraform's state."
  value       = module.state.bucket
}

output "git" {
  description = "The chart's values `git`."
  value       = { repository = "https://github.com/${var.github_repository}.git" }
}
