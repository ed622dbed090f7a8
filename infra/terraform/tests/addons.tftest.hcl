mock_provider "aws" {
  source = "./mocks"
}

variables {
  cluster_name     = "trainyard-staging"
  service_accounts = { oidc_issuer = "https://oidc.example.org/id/1", oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.org/id/1" }
}

run "network_policies_are_enforced_and_volumes_have_a_default" {
  command = plan

  module {
    source = "./modules/addons"
  }

  assert {
    condition     = jsondecode(aws_eks_addon.this["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "The add-on of the network enforces network policies."
  }

  assert {
    condition     = jsondecode(aws_eks_addon.this["aws-ebs-csi-driver"].configuration_values).defaultStorageClass.enabled
    error_message = "The cluster has a default storage class."
  }
}

run "the_autoscaler_may_scale_the_groups_of_its_cluster_alone" {
  command = plan

  module {
    source = "./modules/addons"
  }

  assert {
    condition     = one(data.aws_iam_policy_document.autoscaler.statement[0].condition).variable == "aws:ResourceTag/k8s.io/cluster-autoscaler/trainyard-staging"
    error_message = "The right to scale ends at the groups with the tag of the cluster."
  }
}

run "a_name_roles_cannot_begin_with_is_refused" {
  command = plan

  module {
    source = "./modules/addons"
  }

  variables {
    cluster_name = "Trainyard Staging"
  }

  expect_failures = [var.cluster_name]
}
