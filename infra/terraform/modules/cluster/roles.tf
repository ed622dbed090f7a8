# The roles of the control plane and of the nodes, with the policies AWS keeps for them.

resource "aws_iam_role" "control_plane" {
  name               = "${var.name}-control-plane"
  description        = "Control plane of the cluster ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.trust["eks.amazonaws.com"].json
}

resource "aws_iam_role_policy_attachment" "control_plane" {
  role       = aws_iam_role.control_plane.name
  policy_arn = "${local.policies}/AmazonEKSClusterPolicy"
}

resource "aws_iam_role" "node" {
  name               = "${var.name}-node"
  description        = "Nodes of the cluster ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.trust["ec2.amazonaws.com"].json
}

# The network policy agent and the address plugin run on the node's own network, before any service account has a role.
resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"])

  role       = aws_iam_role.node.name
  policy_arn = "${local.policies}/${each.key}"
}

data "aws_iam_policy_document" "trust" {
  for_each = toset(["eks.amazonaws.com", "ec2.amazonaws.com"])

  statement {
    sid     = "TheServiceItself"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [each.key]
    }
  }
}
