# What the suite lays upon a copy of the root, so that it can be applied to moto. Terraform merges files of this name
# into the configuration: a resource that moto does not know gets `for_each = {}`, an attribute that it does not keep is
# ignored. docs/aws.md lists them.

provider "aws" {
  s3_use_path_style = true
}
