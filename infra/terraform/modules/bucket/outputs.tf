output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket

  # Whoever is told the name may rely on the policy: S3 asks it before it delivers logs.
  depends_on = [aws_s3_bucket_policy.this]
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}
