mock_provider "aws" {
  source = "./mocks"
}

run "an_unknown_environment_is_refused" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "an_account_that_is_no_number_is_refused" {
  command = plan

  variables {
    account_id = "12"
  }

  expect_failures = [var.account_id]
}

run "a_region_that_is_none_is_refused" {
  command = plan

  variables {
    region = "moon"
    zones  = ["moon-a", "moon-b"]
  }

  expect_failures = [var.region]
}

run "zones_of_another_region_are_refused" {
  command = plan

  variables {
    zones = ["eu-west-1a", "eu-west-1b"]
  }

  expect_failures = [var.zones]
}

run "a_destroy_that_takes_production_with_it_is_refused" {
  command = plan

  variables {
    environment = "production"
    disposable  = true
  }

  expect_failures = [var.disposable]
}
