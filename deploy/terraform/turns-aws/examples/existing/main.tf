# For an account that has the table of Dynamo-Q and GitHub's OIDC provider already: adds the role and its policy alone.

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

  create_table         = false
  create_oidc_provider = false
  role_name            = "signalbox-turns"
  github_subjects      = ["repo:octo-org/app:*"]
}

output "role_arn" {
  value = module.turns.role_arn
}
