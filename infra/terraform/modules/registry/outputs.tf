output "prefix" {
  description = "What the images' references begin with: `python -m ops.images --registry` takes it."
  value       = trimsuffix(aws_ecr_repository.this["flows"].repository_url, "/flows")
}

output "arns" {
  description = "ARNs of the repositories, by image."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.arn }
}
