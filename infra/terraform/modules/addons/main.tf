# What the cluster needs before the chart: addresses and network policies, names, volumes, and a role for the autoscaler.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  partition = data.aws_partition.current.partition
  place     = "${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"

  addons = {
    # Without this the cluster takes network policies and holds no one to them.
    vpc-cni    = { role = null, configuration = { enableNetworkPolicy = "true" } }
    kube-proxy = { role = null, configuration = {} }
    coredns    = { role = null, configuration = {} }
    # The chart's volumes name no storage class: they take the cluster's default, which EKS leaves out.
    aws-ebs-csi-driver = { role = module.ebs_csi.arn, configuration = { defaultStorageClass = { enabled = true } } }
  }
}

resource "aws_eks_addon" "this" {
  for_each = local.addons

  cluster_name                = var.cluster_name
  addon_name                  = each.key
  service_account_role_arn    = each.value.role
  configuration_values        = length(each.value.configuration) > 0 ? jsonencode(each.value.configuration) : null
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}

module "ebs_csi" {
  source = "../service-account-role"

  name                = "${var.cluster_name}-ebs-csi"
  cluster             = var.service_accounts
  namespace           = "kube-system"
  service_account     = "ebs-csi-controller-sa"
  managed_policy_arns = { ebs-csi = "arn:${local.partition}:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy" }
}

module "autoscaler" {
  source = "../service-account-role"

  name            = "${var.cluster_name}-autoscaler"
  cluster         = var.service_accounts
  namespace       = "kube-system"
  service_account = "cluster-autoscaler"
  policies        = { scale-node-groups = data.aws_iam_policy_document.autoscaler.json }
}

data "aws_iam_policy_document" "autoscaler" {
  statement {
    sid       = "ScaleTheClustersGroups"
    actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    resources = ["arn:${local.partition}:autoscaling:${local.place}:autoScalingGroup:*:autoScalingGroupName/eks-*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster_name}"
      values   = ["owned"]
    }
  }

  statement {
    sid       = "ReadTheClustersGroups"
    actions   = ["eks:DescribeNodegroup"]
    resources = ["arn:${local.partition}:eks:${local.place}:nodegroup/${var.cluster_name}/*"]
  }

  # These actions list; AWS knows no resource for them.
  statement {
    sid       = "ListGroupsAndTypes"
    resources = ["*"]
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeScalingActivities",
      "autoscaling:DescribeTags",
      "ec2:DescribeImages",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:GetInstanceTypesFromInstanceRequirements",
    ]
  }
}
