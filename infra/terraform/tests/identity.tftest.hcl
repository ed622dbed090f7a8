mock_provider "aws" {
  source = "./mocks"
}

variables {
  name              = "trainyard-staging"
  environment       = "staging"
  github_repository = "acme/trainyard"
  namespace         = "trainyard"
  release           = "trainyard"
  cluster           = { name = "trainyard-staging", arn = "arn:aws:eks:us-east-1:111122223333:cluster/trainyard-staging" }
  service_accounts  = { oidc_issuer = "https://oidc.example.org/id/1", oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.org/id/1" }
  lake              = { arn = "arn:aws:s3:::lake", key_arn = "arn:aws:kms:us-east-1:111122223333:key/1" }
  repository_arns   = ["arn:aws:ecr:us-east-1:111122223333:repository/trainyard-staging/flows"]
}

run "only_jobs_of_the_environment_may_deploy" {
  command = plan

  module {
    source = "./modules/identity"
  }

  assert {
    condition = { for each in one(data.aws_iam_policy_document.github.statement).condition : each.variable => one(each.values) } == {
      "token.actions.githubusercontent.com:sub" = "repo:acme/trainyard:environment:staging"
      "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
    }
    error_message = "GitHub must say that the job is of this repository and in this environment, for AWS."
  }

  assert {
    condition     = alltrue([for each in data.aws_iam_policy_document.github.statement[0].condition : each.test == "StringEquals"])
    error_message = "No pattern says who may deploy."
  }
}

run "a_deploy_ends_at_the_namespace" {
  command = plan

  module {
    source = "./modules/identity"
  }

  assert {
    condition     = aws_eks_access_policy_association.deploy.access_scope[0].type == "namespace" && aws_eks_access_policy_association.deploy.access_scope[0].namespaces == toset(["trainyard"])
    error_message = "A deploy has no right but on the platform's namespace."
  }

  assert {
    condition     = aws_eks_access_policy_association.deploy.policy_arn == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    error_message = "Within it a deploy may change the Roles of the chart."
  }
}

run "mlflow_lists_its_own_folder_alone" {
  command = plan

  module {
    source = "./modules/identity"
  }

  assert {
    condition     = one(one([for each in data.aws_iam_policy_document.mlflow.statement : each.condition if each.sid == "ListArtifacts"])) == { test = "StringLike", variable = "s3:prefix", values = tolist(["mlflow", "mlflow/*"]) }
    error_message = "MLflow sees no name outside its folder."
  }

  assert {
    condition     = [for each in data.aws_iam_policy_document.mlflow.statement : each.sid if contains(each.actions, "s3:ListBucket")] == ["ListArtifacts"]
    error_message = "No other statement lets it list."
  }
}

run "a_pattern_for_the_environment_is_refused" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    environment = "*"
  }

  expect_failures = [var.environment]
}

run "an_address_for_a_repository_is_refused" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    github_repository = "https://github.com/acme/trainyard"
  }

  expect_failures = [var.github_repository]
}

run "a_pattern_for_the_repository_is_refused" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    github_repository = "acme/*"
  }

  expect_failures = [var.github_repository]
}

run "a_namespace_kubernetes_does_not_take_is_refused" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    namespace = "Train Yard"
  }

  expect_failures = [var.namespace]
}

run "a_release_helm_does_not_take_is_refused" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    release = "Train_Yard"
  }

  expect_failures = [var.release]
}
