output "jobs_role_arn" {
  description = "Role of the flow runs' service account."
  value       = module.jobs.arn
}

output "mlflow_role_arn" {
  description = "Role of MLflow's service account."
  value       = module.mlflow.arn
}

output "deploys_role_arn" {
  description = "Role of the service account of deploys that run in the cluster."
  value       = module.deploys.arn
}

output "reconcile_role_arn" {
  description = "Role of the service account of the CronJob that reconciles."
  value       = module.reconcile.arn
}

output "deploy_role_arn" {
  description = "Role that deploys from GitHub take."
  value       = aws_iam_role.deploy.arn
}
