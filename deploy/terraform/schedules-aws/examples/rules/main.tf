# The roles and the policy for schedules that rules of EventBridge fire, as the reference has them. `terraform init && terraform apply`.

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

module "schedules" {
  source = "../.."

  name = "MyProject-test"
}

# To the role or user that the server runs as.
resource "aws_iam_role_policy_attachment" "server" {
  role       = "my-project-test"
  policy_arn = module.schedules.server_policy_arn
}

output "target_role_arn" {
  value = module.schedules.target_role_arn
}
