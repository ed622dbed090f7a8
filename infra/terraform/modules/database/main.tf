# A Postgres for Prefect, MLflow and MLflow's users, each with a database, a user and a password of its own.

locals {
  # The database of each user; both have the same name.
  users = toset(["prefect", "mlflow", "mlflow_users"])
}

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

resource "aws_db_parameter_group" "this" {
  name   = "${var.name}-postgres${var.postgres_version}"
  family = "postgres${var.postgres_version}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}

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
  parameter_group_name   = aws_db_parameter_group.this.name
  publicly_accessible    = false

  backup_retention_period    = var.backup_days
  copy_tags_to_snapshot      = true
  deletion_protection        = !var.disposable
  delete_automated_backups   = var.disposable
  skip_final_snapshot        = var.disposable
  final_snapshot_identifier  = "${var.name}-final"
  auto_minor_version_upgrade = true
}

# Made when it is written, and in no state: the provider is handed it once and forgets it.
ephemeral "aws_secretsmanager_random_password" "user" {
  for_each = local.users

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "user" {
  for_each = local.users

  name                    = "${var.name}/database/${each.key}"
  description             = "Login of the user ${each.key} of the database ${var.name}"
  kms_key_id              = module.key.arn
  recovery_window_in_days = var.disposable ? 0 : 30
}

resource "aws_secretsmanager_secret_version" "user" {
  for_each = local.users

  secret_id                = aws_secretsmanager_secret.user[each.key].id
  secret_string_wo_version = var.password_version
  secret_string_wo = jsonencode({
    host     = aws_db_instance.this.address
    port     = tostring(aws_db_instance.this.port)
    database = each.key
    username = each.key
    password = ephemeral.aws_secretsmanager_random_password.user[each.key].random_password
  })
}
