# A table, a role and the account's OIDC provider, for the main branch of one repository and the production environment of
# another. `terraform init && terraform apply`, then `terraform output -raw workflow`.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

module "turns" {
  source = "../.."

  github_subjects = [
    "repo:octo-org/app:ref:refs/heads/main",
    "repo:octo-org@123456/website@456789:environment:production",
  ]
}

output "workflow" {
  value = module.turns.workflow
}
