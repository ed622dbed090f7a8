mock_provider "aws" {
  source = "./mocks"
}

variables {
  name       = "trainyard-staging"
  disposable = false
}

run "the_state_has_a_bucket_of_the_account" {
  command = plan

  module {
    source = "./modules/state"
  }

  assert {
    condition     = output.bucket == "trainyard-staging-state-111122223333"
    error_message = "The bucket of the state is named after environment and account."
  }
}

run "a_name_buckets_cannot_begin_with_is_refused" {
  command = plan

  module {
    source = "./modules/state"
  }

  variables {
    name = "x"
  }

  expect_failures = [var.name]
}
