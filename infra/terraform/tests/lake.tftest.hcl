mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name            = "trainyard-staging"
  staging_days    = 30
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
    condition     = toset([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.filter[0].prefix if length(rule.expiration) > 0]) == toset(["candidates/", "quarantine/"])
    error_message = "Files of trainings and broken rows expire, and nothing else."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : length(rule.noncurrent_version_expiration) == 0 || rule.filter[0].prefix != ""])
    error_message = "Former versions of months, ledger and models stay."
  }
}

run "an_entry_of_the_ledger_is_written_while_its_number_is_free" {
  command = plan

  module {
    source = "./modules/lake"
  }

  assert {
    condition     = data.aws_iam_policy_document.ledger.statement[0].effect == "Deny" && one(data.aws_iam_policy_document.ledger.statement[0].condition).variable == "s3:if-none-match"
    error_message = "A write to the ledger without a condition is refused."
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

run "files_of_trainings_that_go_too_soon_are_refused" {
  command = plan

  module {
    source = "./modules/lake"
  }

  variables {
    staging_days = 7
  }

  expect_failures = [var.staging_days]
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
