# moto gives a cluster no security group.
resource "aws_vpc_security_group_ingress_rule" "nodes" {
  for_each = {}
}
