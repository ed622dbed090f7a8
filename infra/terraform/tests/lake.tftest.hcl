mock_provider "aws" {
  source = "./mocks"
}

variables {
  name            = "trainyard-staging"
  quarantine_days = 90
  log_days        = 30
  disposable      = false
}

run "what_a_model_stands_on_never_expires" {
  command = plan

  module {
    source = "./modules/lake"
  }

  assert {
    condition     = toset([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.filter[0].prefix if length(rule.expiration) > 0]) == toset(["quarantine/"])
    error_message = "Broken rows expire, and nothing else."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : length(rule.noncurrent_version_expiration) == 0 || rule.filter[0].prefix != ""])
    error_message = "Former versions of months, ledger and models stay."
  }
}

run "what_passes_goes_when_it_is_said_and_uploads_that_did_not_end_go" {
  command = plan

  module {
    source = "./modules/lake"
  }

  assert {
    condition     = { for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.filter[0].prefix => rule.expiration[0].days if length(rule.expiration) > 0 } == { "quarantine/" = 90 }
    error_message = "Broken rows are kept as long as is said."
  }

  assert {
    condition     = { for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.filter[0].prefix => rule.noncurrent_version_expiration[0].noncurrent_days if length(rule.noncurrent_version_expiration) > 0 } == { "quarantine/" = 30, "candidates/" = 30 }
    error_message = "What was deleted there goes a month later."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.filter[0].prefix if length(rule.abort_incomplete_multipart_upload) > 0] == [""]
    error_message = "Parts of uploads that did not end go, wherever they are."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.status == "Enabled"])
    error_message = "Every rule counts."
  }
}

run "who_looked_at_the_lake_is_logged" {
  command = plan

  module {
    source = "./modules/lake"
  }

  assert {
    condition     = aws_s3_bucket_logging.lake.bucket == "trainyard-staging-lake-111122223333" && aws_s3_bucket_logging.lake.target_bucket == "trainyard-staging-logs-111122223333"
    error_message = "Accesses to the lake are written into a bucket of their own."
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.delivery.statement).principals).identifiers == toset(["logging.s3.amazonaws.com"]) && one(data.aws_iam_policy_document.delivery.statement).resources == toset(["arn:aws:s3:::trainyard-staging-logs-111122223333/lake/*"])
    error_message = "S3 alone writes there."
  }

  assert {
    condition     = one([for each in one(data.aws_iam_policy_document.delivery.statement).condition : each.values if each.variable == "aws:SourceArn"]) == tolist(["arn:aws:s3:::trainyard-staging-lake-111122223333"])
    error_message = "It writes of the lake alone."
  }
}

run "an_entry_of_the_ledger_is_written_while_its_number_is_free" {
  command = plan

  module {
    source = "./modules/lake"
  }

  assert {
    condition     = one(data.aws_iam_policy_document.ledger.statement).effect == "Deny" && one(one(data.aws_iam_policy_document.ledger.statement).condition) == { test = "Null", variable = "s3:if-none-match", values = tolist(["true"]) }
    error_message = "A write to the ledger without a condition is refused."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.ledger.statement).actions == toset(["s3:PutObject"]) && one(data.aws_iam_policy_document.ledger.statement).resources == toset(["arn:aws:s3:::trainyard-staging-lake-111122223333/ledger/*"])
    error_message = "It is a write that is refused, anywhere in the ledger."
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.ledger.statement).principals).identifiers == toset(["*"])
    error_message = "It is refused to everyone."
  }
}

run "a_name_buckets_cannot_begin_with_is_refused" {
  command = plan

  module {
    source = "./modules/lake"
  }

  variables {
    name = "Trainyard_Staging"
  }

  expect_failures = [var.name]
}

run "broken_rows_that_go_too_soon_are_refused" {
  command = plan

  module {
    source = "./modules/lake"
  }

  variables {
    quarantine_days = 1
  }

  expect_failures = [var.quarantine_days]
}

run "logs_that_go_too_soon_are_refused" {
  command = plan

  module {
    source = "./modules/lake"
  }

  variables {
    log_days = 0
  }

  expect_failures = [var.log_days]
}
