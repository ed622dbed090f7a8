# moto does not keep how a cluster lets people in.
resource "aws_eks_cluster" "this" {
  lifecycle {
    ignore_changes = [access_config]
  }
}

# moto has no access entries.
resource "aws_eks_access_entry" "administrators" {
  for_each = {}
}

resource "aws_eks_access_policy_association" "administrators" {
  for_each = {}
}

# moto says of every group that it can be logged in to by ssh.
resource "aws_eks_node_group" "this" {
  lifecycle {
    ignore_changes = [remote_access]
  }
}

# The scaling group that moto names for a node group is not there.
resource "aws_autoscaling_group_tag" "training_disk" {
  for_each = {}
}

# moto takes the tags of a launch template for tags of what is launched.
resource "aws_launch_template" "node" {
  lifecycle {
    ignore_changes = [tag_specifications]
  }
}
