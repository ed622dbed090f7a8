output "bucket" {
  description = "Name of the lake's bucket."
  value       = module.bucket.name
}

output "arn" {
  description = "ARN of the lake's bucket."
  value       = module.bucket.arn
}

output "key_arn" {
  description = "ARN of the key of its objects."
  value       = module.key.arn
}
