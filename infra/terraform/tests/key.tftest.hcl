mock_provider "aws" {
  source = "./mocks"
}

variables {
  name        = "trainyard-staging-lake"
  description = "Objects of the lake"
}

run "a_key_rotates_and_its_end_can_be_taken_back" {
  command = plan

  module {
    source = "./modules/key"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "A key rotates, and is gone a month after the order at the earliest."
  }
}

run "the_account_alone_decides_about_its_key" {
  command = plan

  module {
    source = "./modules/key"
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.key.statement).principals).identifiers == toset(["arn:aws:iam::111122223333:root"])
    error_message = "No other account is let to the key."
  }
}

run "an_end_within_a_week_is_refused" {
  command = plan

  module {
    source = "./modules/key"
  }

  variables {
    deletion_days = 6
  }

  expect_failures = [var.deletion_days]
}

run "an_end_after_more_than_a_month_is_refused" {
  command = plan

  module {
    source = "./modules/key"
  }

  variables {
    deletion_days = 31
  }

  expect_failures = [var.deletion_days]
}
