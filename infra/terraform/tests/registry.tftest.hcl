mock_provider "aws" {
  source = "./mocks"
}

variables {
  name        = "trainyard-staging"
  kept_images = 30
  disposable  = false
}

run "a_tag_means_one_image_and_each_is_scanned" {
  command = plan

  module {
    source = "./modules/registry"
  }

  assert {
    condition     = keys(aws_ecr_repository.this) == ["flows", "mlflow", "server"]
    error_message = "Each image of the platform has a repository."
  }

  assert {
    condition     = alltrue([for each in aws_ecr_repository.this : each.image_tag_mutability == "IMMUTABLE" && each.image_scanning_configuration[0].scan_on_push && !each.force_delete])
    error_message = "Tags are immutable, images scanned, and a destroy takes none."
  }
}

run "what_has_no_tag_is_a_signature_and_stays_with_its_image" {
  command = plan

  module {
    source = "./modules/registry"
  }

  assert {
    condition     = alltrue([for each in aws_ecr_lifecycle_policy.this : [for rule in jsondecode(each.policy).rules : [rule.selection.tagStatus, rule.selection.tagPatternList]] == [["tagged", ["*"]]]])
    error_message = "Images alone, which have a tag, are counted and expire."
  }

  assert {
    condition     = alltrue([for each in aws_ecr_lifecycle_policy.this : jsondecode(each.policy).rules[0].selection.countNumber == 30]) && length(aws_ecr_lifecycle_policy.this) == 3
    error_message = "Each repository keeps as many images as it is told."
  }
}

run "a_repository_that_keeps_too_few_is_refused" {
  command = plan

  module {
    source = "./modules/registry"
  }

  variables {
    kept_images = 1
  }

  expect_failures = [var.kept_images]
}

run "half_an_image_is_refused" {
  command = plan

  module {
    source = "./modules/registry"
  }

  variables {
    kept_images = 10.5
  }

  expect_failures = [var.kept_images]
}
