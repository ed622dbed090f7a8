output "secret_arns" {
  description = "Secrets with the logins, by user."
  value       = { for user, secret in aws_secretsmanager_secret.this : user => secret.arn }
}
