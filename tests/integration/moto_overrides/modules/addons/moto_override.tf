# moto has no add-ons of EKS.
resource "aws_eks_addon" "this" {
  for_each = {}
}
