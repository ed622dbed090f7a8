# The lake's bucket, its key, and the bucket of its access logs. What a model stands on never expires: of its candidate
# the monitor reads the baseline for as long as it is in service. `reconcile` deletes what no version refers to.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  name    = "${var.name}-lake-${local.account}"
  logs    = "${var.name}-logs-${local.account}"
}

module "key" {
  source = "../key"

  name          = "${var.name}-lake"
  description   = "Objects of the lake ${local.name}"
  deletion_days = var.disposable ? 7 : 30
}

module "bucket" {
  source = "../bucket"

  name       = local.name
  key_arn    = module.key.arn
  policies   = [data.aws_iam_policy_document.ledger.json]
  disposable = var.disposable
}

# An entry of the ledger is written while its number is free, and by no one over another.
data "aws_iam_policy_document" "ledger" {
  statement {
    sid       = "LedgerIsWrittenOnce"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::${local.name}/ledger/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = module.bucket.name

  rule {
    id     = "broken-rows"
    status = "Enabled"

    filter {
      prefix = "quarantine/"
    }

    expiration {
      days = var.quarantine_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }

  rule {
    id     = "deleted-candidates"
    status = "Enabled"

    filter {
      prefix = "candidates/"
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }

  rule {
    id     = "multipart-leftovers"
    status = "Enabled"

    filter {
      prefix = ""
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_logging" "lake" {
  bucket        = module.bucket.name
  target_bucket = module.logs.name
  target_prefix = "lake/"
}

# S3 delivers access logs to buckets without a KMS key alone.
module "logs" {
  source = "../bucket"

  name       = local.logs
  policies   = [data.aws_iam_policy_document.delivery.json]
  disposable = var.disposable
}

data "aws_iam_policy_document" "delivery" {
  statement {
    sid       = "AccessLogsOfTheLake"
    actions   = ["s3:PutObject"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::${local.logs}/lake/*"]

    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:s3:::${local.name}"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = module.logs.name

  rule {
    id     = "old-logs"
    status = "Enabled"

    filter {
      prefix = ""
    }

    expiration {
      days = var.log_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }
}
