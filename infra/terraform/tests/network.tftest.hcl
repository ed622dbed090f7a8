mock_provider "aws" {
  source = "./mocks"
}

variables {
  name         = "trainyard-staging"
  cidr         = "10.20.0.0/16"
  zones        = ["us-east-1a", "us-east-1b", "us-east-1c"]
  nat_per_zone = true
}

run "each_zone_has_its_own_way_out" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "With nat_per_zone each zone has a NAT gateway."
  }

  assert {
    condition     = length(distinct(concat([for each in aws_subnet.private : each.cidr_block], [for each in aws_subnet.public : each.cidr_block]))) == 6
    error_message = "Every subnet has addresses of its own."
  }
}

run "one_way_out_serves_all_zones" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    nat_per_zone = false
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["us-east-1a"] && length(aws_route.private) == 3
    error_message = "Without nat_per_zone one NAT gateway takes the traffic of every zone."
  }
}

run "a_range_too_small_for_pods_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr = "10.20.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "a_range_that_is_none_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr = "10.20.0.0"
  }

  expect_failures = [var.cidr]
}

run "a_single_zone_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = ["us-east-1a"]
  }

  expect_failures = [var.zones]
}

run "a_zone_named_twice_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = ["us-east-1a", "us-east-1a"]
  }

  expect_failures = [var.zones]
}
