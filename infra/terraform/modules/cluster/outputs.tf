output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name

  # Whoever is told the name may count on nodes: an add-on without them never becomes active.
  depends_on = [aws_eks_node_group.this]
}

output "arn" {
  description = "ARN of the cluster."
  value       = aws_eks_cluster.this.arn
}

output "security_group_id" {
  description = "Security group of control plane and nodes."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "service_accounts" {
  description = "What IAM needs to believe a service account of the cluster."
  value = {
    oidc_issuer       = aws_eks_cluster.this.identity[0].oidc[0].issuer
    oidc_provider_arn = aws_iam_openid_connect_provider.service_accounts.arn
  }
}

output "training" {
  description = "Job variables of a deployment whose runs go to the nodes of the trainings."
  value = {
    node_selector = { (local.training) = "true" }
    tolerations   = [{ key = local.training, operator = "Equal", value = "true", effect = "NoSchedule" }]
  }
}
