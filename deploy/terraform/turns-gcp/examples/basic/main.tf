# A database, a service account and a workload identity pool, for two repositories of one owner.
# `terraform init && terraform apply`, then `terraform output -raw workflow`.

terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8.0"
    }
  }
}

module "turns" {
  source = "../.."

  project_id          = "octo-ci"
  location            = "europe-west3"
  github_repositories = ["octo-org/app", "octo-org/website"]
  github_owner_ids    = ["123456"]
}

output "workflow" {
  value = module.turns.workflow
}
