# The bucket of Terraform's state. Its lock is an object beside the state, written only where there is none.

data "aws_caller_identity" "current" {}

module "bucket" {
  source = "../bucket"

  name       = "${var.name}-state-${data.aws_caller_identity.current.account_id}"
  disposable = var.disposable
}
