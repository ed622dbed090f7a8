mock_provider "aws" {
  source = "./mocks"
}

variables {
  name               = "trainyard-staging"
  kubernetes_version = "1.35"
  subnet_ids         = ["subnet-1", "subnet-2"]
  api_cidrs          = ["203.0.113.0/24"]
  administrators     = { platform = "arn:aws:iam::111122223333:role/platform" }
  platform_nodes     = { instance_types = ["t3.large"], min = 2, max = 3, disk_gib = 40 }
  training_nodes     = { instance_types = ["m7i.xlarge"], max = 2, disk_gib = 60, capacity = "SPOT" }
  log_days           = 30
  disposable         = false
}

run "nodes_of_trainings_are_tainted_and_none_while_none_runs" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = aws_eks_node_group.this["training"].scaling_config[0].min_size == 0
    error_message = "The group of the trainings scales from zero."
  }

  assert {
    condition     = one(aws_eks_node_group.this["training"].taint).effect == "NO_SCHEDULE"
    error_message = "The nodes of the trainings are tainted."
  }

  assert {
    condition     = one(aws_eks_node_group.this["training"].taint).key == output.training.tolerations[0].key
    error_message = "A training tolerates the taint of its nodes."
  }

  assert {
    condition     = length(aws_eks_node_group.this["platform"].taint) == 0
    error_message = "The nodes of the platform take every pod."
  }
}

run "an_api_without_ranges_is_not_on_the_internet" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    api_cidrs = []
  }

  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "Without ranges the API is reached from within the network alone."
  }
}

run "what_the_cluster_keeps_is_encrypted_and_what_it_does_is_logged" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = one(aws_eks_cluster.this.encryption_config).resources == toset(["secrets"])
    error_message = "Secrets are encrypted by the key of the cluster."
  }

  assert {
    condition     = alltrue([for each in aws_launch_template.node : one(one(each.block_device_mappings).ebs).encrypted == "true"])
    error_message = "The disks of the nodes are encrypted."
  }

  assert {
    condition     = aws_eks_cluster.this.enabled_cluster_log_types == toset(["api", "audit", "authenticator"])
    error_message = "Who called the API, and for what, is logged."
  }

  assert {
    condition     = aws_cloudwatch_log_group.control_plane.name == "/aws/eks/trainyard-staging/cluster" && aws_cloudwatch_log_group.control_plane.retention_in_days == 30
    error_message = "The logs go where EKS writes them, and are kept as long as is said."
  }
}

run "only_those_who_are_named_are_let_in" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0] == { authentication_mode = "API", bootstrap_cluster_creator_admin_permissions = false }
    error_message = "Access entries alone let in, also whoever makes the cluster."
  }

  assert {
    condition     = toset([for each in aws_eks_access_entry.administrators : each.principal_arn]) == toset(values(var.administrators))
    error_message = "Each administrator has an entry."
  }

  assert {
    condition     = [for each in aws_eks_access_policy_association.administrators : [each.principal_arn, each.policy_arn, each.access_scope[0].type]] == [["arn:aws:iam::111122223333:role/platform", "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", "cluster"]]
    error_message = "Each administrator may do everything."
  }
}

run "the_autoscaler_is_told_of_the_disks_of_nodes_that_are_not_there" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = one(aws_autoscaling_group_tag.training_disk.tag).key == "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage" && one(aws_autoscaling_group_tag.training_disk.tag).value == "48Gi"
    error_message = "The group of the trainings says how much room a node of it has."
  }
}

run "pods_do_not_reach_the_credentials_of_their_node" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = alltrue([for each in aws_launch_template.node : each.metadata_options[0].http_put_response_hop_limit == 1 && each.metadata_options[0].http_tokens == "required"])
    error_message = "A pod is one hop too far from the metadata service."
  }
}

run "a_kubernetes_that_eks_soon_ends_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    kubernetes_version = "1.32"
  }

  expect_failures = [var.kubernetes_version]
}

run "a_kubernetes_without_a_number_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    kubernetes_version = "latest"
  }

  expect_failures = [var.kubernetes_version]
}

run "a_range_that_is_none_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    api_cidrs = ["everyone"]
  }

  expect_failures = [var.api_cidrs]
}

run "a_cluster_that_lets_no_one_in_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    administrators = {}
  }

  expect_failures = [var.administrators]
}

run "an_administrator_without_an_arn_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    administrators = { me = "platform-engineer" }
  }

  expect_failures = [var.administrators]
}

run "a_platform_without_nodes_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    platform_nodes = { instance_types = ["t3.large"], min = 0, max = 3, disk_gib = 40 }
  }

  expect_failures = [var.platform_nodes]
}

run "fewer_nodes_at_most_than_at_least_are_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    platform_nodes = { instance_types = ["t3.large"], min = 3, max = 2, disk_gib = 40 }
  }

  expect_failures = [var.platform_nodes]
}

run "a_platform_on_no_type_of_instance_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    platform_nodes = { instance_types = [], min = 2, max = 3, disk_gib = 40 }
  }

  expect_failures = [var.platform_nodes]
}

run "a_disk_too_small_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    platform_nodes = { instance_types = ["t3.large"], min = 2, max = 3, disk_gib = 8 }
  }

  expect_failures = [var.platform_nodes]
}

run "no_room_for_trainings_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    training_nodes = { instance_types = ["m7i.xlarge"], max = 0, disk_gib = 60, capacity = "SPOT" }
  }

  expect_failures = [var.training_nodes]
}

run "trainings_on_no_type_of_instance_are_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    training_nodes = { instance_types = [], max = 2, disk_gib = 60, capacity = "SPOT" }
  }

  expect_failures = [var.training_nodes]
}

run "a_disk_too_small_for_a_training_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    training_nodes = { instance_types = ["m7i.xlarge"], max = 2, disk_gib = 19, capacity = "SPOT" }
  }

  expect_failures = [var.training_nodes]
}

run "an_unknown_capacity_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    training_nodes = { instance_types = ["m7i.xlarge"], max = 2, disk_gib = 60, capacity = "cheap" }
  }

  expect_failures = [var.training_nodes]
}

run "a_span_cloudwatch_does_not_know_is_refused" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    log_days = 31
  }

  expect_failures = [var.log_days]
}
