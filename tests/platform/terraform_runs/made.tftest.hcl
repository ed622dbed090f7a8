mock_provider "aws" {
  source = "./mocks"

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:111122223333:key/1" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/one" }
  }

  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::111122223333:oidc-provider/one" }
  }

  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:us-east-1:111122223333:repository/one" }
  }

  mock_resource "aws_eks_cluster" {
    defaults = {
      arn        = "arn:aws:eks:us-east-1:111122223333:cluster/one"
      identity   = [{ oidc = [{ issuer = "https://oidc.example.org/id/1" }] }]
      vpc_config = { cluster_security_group_id = "sg-cluster" }
    }
  }

  mock_resource "aws_eks_node_group" {
    defaults = { resources = [{ autoscaling_groups = [{ name = "eks-one" }] }] }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-1" }
  }

  mock_resource "aws_db_instance" {
    defaults = { master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:one" }] }
  }
}

run "a_shipped_environment_can_be_made" {
}
