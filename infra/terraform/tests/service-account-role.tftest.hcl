mock_provider "aws" {
  source = "./mocks"
}

variables {
  name            = "trainyard-staging-jobs"
  cluster         = { oidc_issuer = "https://oidc.example.org/id/1", oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.org/id/1" }
  namespace       = "trainyard"
  service_account = "trainyard-jobs"
}

run "pods_of_the_service_account_have_the_role_and_nobody_else" {
  command = plan

  module {
    source = "./modules/service-account-role"
  }

  assert {
    condition = { for each in one(data.aws_iam_policy_document.trust.statement).condition : each.variable => one(each.values) } == {
      "oidc.example.org/id/1:sub" = "system:serviceaccount:trainyard:trainyard-jobs"
      "oidc.example.org/id/1:aud" = "sts.amazonaws.com"
    }
    error_message = "The cluster must say that the pod is of this service account."
  }

  assert {
    condition     = alltrue([for each in one(data.aws_iam_policy_document.trust.statement).condition : each.test == "StringEquals"])
    error_message = "No pattern says who has the role."
  }
}

run "a_name_iam_does_not_take_is_refused" {
  command = plan

  module {
    source = "./modules/service-account-role"
  }

  variables {
    name = join("", [for each in range(65) : "a"])
  }

  expect_failures = [var.name]
}
