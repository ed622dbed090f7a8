mock_provider "aws" {
  source = "./mocks"
}

variables {
  name    = "trainyard-staging-lake"
  key_arn = "arn:aws:kms:us-east-1:111122223333:key/1"
}

run "every_version_is_kept_encrypted_and_private" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "Versions are kept."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0] == { sse_algorithm = "aws:kms", kms_master_key_id = var.key_arn }
    error_message = "Objects are encrypted by the key that is given."
  }

  assert {
    condition     = alltrue([for name in ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"] : aws_s3_bucket_public_access_block.this[name]])
    error_message = "Nothing lets the public in."
  }

  assert {
    condition     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "No list of an object lets anyone in."
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "A destroy takes no objects with it unless it is told to."
  }
}

run "without_a_key_s3_encrypts_by_its_own" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  variables {
    key_arn = null
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "Objects are encrypted without a key, too."
  }
}

run "nobody_is_let_in_without_tls" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  assert {
    condition     = one(data.aws_iam_policy_document.bucket.statement).effect == "Deny" && one(data.aws_iam_policy_document.bucket.statement).actions == toset(["s3:*"])
    error_message = "All is refused."
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.bucket.statement).principals).identifiers == toset(["*"])
    error_message = "It is refused to everyone."
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.bucket.statement).condition) == { test = "Bool", variable = "aws:SecureTransport", values = tolist(["false"]) }
    error_message = "It is refused where there is no TLS."
  }
}

run "a_name_with_an_underline_is_refused" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  variables {
    name = "trainyard_lake"
  }

  expect_failures = [var.name]
}

run "a_name_that_is_too_long_is_refused" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  variables {
    name = join("", [for each in range(64) : "a"])
  }

  expect_failures = [var.name]
}
