# The logins of the applications in Secrets Manager: a user, a database and a password each, which no state, plan or log
# holds. Users and databases of these names are made in Postgres by the chart, where it has the owner's login as well.

locals {
  # Prefect's, MLflow's, and that of MLflow's own users; the database has the name of its user.
  users = toset(["prefect", "mlflow", "mlflow_users"])
}

# Made anew at every plan, and written where the version says so; the provider is handed it and forgets it.
ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = local.users

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.users

  name                    = "${var.name}/database/${each.key}"
  description             = "Login of the user ${each.key} of the database ${var.name}"
  kms_key_id              = var.key_arn
  recovery_window_in_days = var.disposable ? 0 : 30
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = local.users

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo_version = var.password_version
  secret_string_wo = jsonencode({
    host     = var.host
    port     = tostring(var.port)
    database = each.key
    username = each.key
    password = ephemeral.aws_secretsmanager_random_password.this[each.key].random_password
  })
}
