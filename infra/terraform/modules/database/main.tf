# The Postgres instance of Prefect, MLflow and MLflow's users.

module "key" {
  source = "../key"

  name          = "${var.name}-database"
  description   = "Database ${var.name}, its backups and its passwords"
  deletion_days = var.disposable ? 7 : 30
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "Postgres, from the nodes of the cluster alone"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = aws_security_group.this.id
  description                  = "Nodes of the cluster"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# From Postgres 15 on RDS takes connections over TLS alone unless it is told otherwise.
resource "aws_db_instance" "this" {
  identifier            = var.name
  engine                = "postgres"
  engine_version        = var.postgres_version
  instance_class        = var.instance_class
  allocated_storage     = var.storage_gib
  max_allocated_storage = 10 * var.storage_gib
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = module.key.arn
  multi_az              = var.standby

  # RDS makes the owner's password itself, keeps it in Secrets Manager and changes it every week.
  username                      = "owner"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = module.key.arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false

  backup_retention_period    = var.backup_days
  copy_tags_to_snapshot      = true
  deletion_protection        = !var.disposable
  delete_automated_backups   = var.disposable
  skip_final_snapshot        = var.disposable
  final_snapshot_identifier  = "${var.name}-final"
  auto_minor_version_upgrade = true
}
