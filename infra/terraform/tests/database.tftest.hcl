mock_provider "aws" {
  source = "./mocks"
}

variables {
  name                     = "trainyard-staging"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-1", "subnet-2"]
  client_security_group_id = "sg-1"
  postgres_version         = 17
  instance_class           = "db.t4g.small"
  storage_gib              = 20
  standby                  = false
  backup_days              = 7
  disposable               = false
}

run "the_database_is_protected_encrypted_and_private" {
  command = plan

  module {
    source = "./modules/database"
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "A database that is not disposable is not deleted by accident."
  }

  assert {
    condition     = aws_db_instance.this.storage_encrypted && !aws_db_instance.this.publicly_accessible
    error_message = "The database is encrypted and not on the internet."
  }

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "RDS makes the password of the owner; no configuration holds one."
  }
}

run "the_nodes_of_the_cluster_alone_reach_the_database" {
  command = plan

  module {
    source = "./modules/database"
  }

  assert {
    condition     = [aws_vpc_security_group_ingress_rule.nodes.referenced_security_group_id, aws_vpc_security_group_ingress_rule.nodes.from_port, aws_vpc_security_group_ingress_rule.nodes.to_port] == ["sg-1", 5432, 5432]
    error_message = "The group of the nodes is let in, to Postgres alone."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.nodes.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.nodes.cidr_ipv6 == null
    error_message = "No address is let in."
  }
}

run "a_standby_and_backups_are_as_they_are_asked_for" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    standby     = true
    backup_days = 35
  }

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.backup_retention_period == 35 && !aws_db_instance.this.delete_automated_backups
    error_message = "A standby takes over, backups are kept as long as is said and outlive the instance."
  }
}

run "a_name_rds_does_not_take_is_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    name = "Trainyard"
  }

  expect_failures = [var.name]
}

run "a_postgres_that_takes_connections_without_tls_is_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    postgres_version = 14
  }

  expect_failures = [var.postgres_version]
}

run "a_type_that_is_not_of_rds_is_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    instance_class = "t3.small"
  }

  expect_failures = [var.instance_class]
}

run "too_little_storage_is_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    storage_gib = 5
  }

  expect_failures = [var.storage_gib]
}

run "storage_that_cannot_grow_tenfold_is_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    storage_gib = 6001
  }

  expect_failures = [var.storage_gib]
}

run "a_database_without_backups_is_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    backup_days = 0
  }

  expect_failures = [var.backup_days]
}

run "backups_longer_than_rds_keeps_them_are_refused" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    backup_days = 36
  }

  expect_failures = [var.backup_days]
}
