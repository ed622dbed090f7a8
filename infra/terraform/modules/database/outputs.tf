output "host" {
  description = "Name of the instance in the network."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "Port of the instance."
  value       = aws_db_instance.this.port
}

output "owner_secret_arn" {
  description = "Secret with the login of the owner, whom only the making of users and databases needs."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "key_arn" {
  description = "ARN of the key of the instance, its backups and its logins."
  value       = module.key.arn
}
