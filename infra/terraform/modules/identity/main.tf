# Who may do what: a role for each workload that speaks to AWS, and one for deploys from GitHub.
#
# Prefect's server and the worker speak to no part of AWS: they have none.

data "aws_partition" "current" {}

locals {
  # Where flow runs write. All of it is read; nothing of it is deleted but what the smoke test wrote.
  written = ["raw", "quarantine", "candidates", "decisions", "ledger", "marks", "monitoring", "predictions", "results", "smoke"]
  # Where a reconcile takes away what nothing refers to any more.
  tidied = ["raw", "quarantine", "candidates", "decisions", "predictions"]
}

# Whoever reads or writes the lake uses its key.
data "aws_iam_policy_document" "key" {
  statement {
    sid       = "UseTheLakesKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.lake.key_arn]
  }
}

module "jobs" {
  source = "../service-account-role"

  name            = "${var.name}-jobs"
  cluster         = var.service_accounts
  namespace       = var.namespace
  service_account = "${var.release}-jobs"
  policies        = { lake = data.aws_iam_policy_document.jobs.json }
}

data "aws_iam_policy_document" "jobs" {
  source_policy_documents = [data.aws_iam_policy_document.key.json]

  statement {
    sid       = "ReadAndWriteTheLake"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = [for folder in local.written : "${var.lake.arn}/${folder}/*"]
  }

  statement {
    sid       = "RemoveWhatTheSmokeTestWrote"
    actions   = ["s3:DeleteObject"]
    resources = ["${var.lake.arn}/smoke/*"]
  }

  # A reconcile by hand is a flow run: it looks there for the schedules.
  statement {
    sid       = "ReadTheRecordsOfDeploys"
    actions   = ["s3:GetObject"]
    resources = ["${var.lake.arn}/deploys/*"]
  }

  statement {
    sid       = "ListTheLakeAndItsOpenUploads"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [var.lake.arn]
  }
}

module "mlflow" {
  source = "../service-account-role"

  name            = "${var.name}-mlflow"
  cluster         = var.service_accounts
  namespace       = var.namespace
  service_account = "${var.release}-mlflow"
  policies        = { artifacts = data.aws_iam_policy_document.mlflow.json }
}

data "aws_iam_policy_document" "mlflow" {
  source_policy_documents = [data.aws_iam_policy_document.key.json]

  statement {
    sid       = "ReadAndWriteArtifacts"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.lake.arn}/mlflow/*"]
  }

  statement {
    sid       = "RemoveWhatTheSmokeTestWrote"
    actions   = ["s3:DeleteObject"]
    resources = ["${var.lake.arn}/mlflow/smoke/*"]
  }

  statement {
    sid       = "ListArtifacts"
    actions   = ["s3:ListBucket"]
    resources = [var.lake.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["mlflow", "mlflow/*"]
    }
  }
}

# It repairs what runs left: it reads all of the lake, and deletes in the folders it tidies up.
module "reconcile" {
  source = "../service-account-role"

  name            = "${var.name}-reconcile"
  cluster         = var.service_accounts
  namespace       = var.namespace
  service_account = "${var.release}-reconcile"
  policies        = { lake = data.aws_iam_policy_document.reconcile.json }
}

data "aws_iam_policy_document" "reconcile" {
  source_policy_documents = [data.aws_iam_policy_document.key.json]

  statement {
    sid       = "ReadTheLake"
    actions   = ["s3:GetObject"]
    resources = [for folder in concat(local.tidied, ["ledger", "marks", "deploys"]) : "${var.lake.arn}/${folder}/*"]
  }

  statement {
    sid       = "TakeAwayWhatNothingRefersTo"
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject"]
    resources = [for folder in local.tidied : "${var.lake.arn}/${folder}/*"]
  }

  statement {
    sid       = "ListTheLakeAndItsOpenUploads"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [var.lake.arn]
  }
}

# A deploy runs in the cluster and keeps its records in the lake.
module "deploys" {
  source = "../service-account-role"

  name            = "${var.name}-deploys"
  cluster         = var.service_accounts
  namespace       = var.namespace
  service_account = "${var.release}-deploy"
  policies        = { records = data.aws_iam_policy_document.deploys.json }
}

data "aws_iam_policy_document" "deploys" {
  source_policy_documents = [data.aws_iam_policy_document.key.json]

  statement {
    sid       = "ReadAndWriteRecordsOfDeploys"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.lake.arn}/deploys/*"]
  }

  # Without a condition: a deploy first asks whether the lake answers, with a list of no folder.
  statement {
    sid       = "FindRecordsOfDeploys"
    actions   = ["s3:ListBucket"]
    resources = [var.lake.arn]
  }
}
