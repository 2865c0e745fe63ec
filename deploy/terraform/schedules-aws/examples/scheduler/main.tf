# The same for EventBridge Scheduler: with time zones and times that come once.

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

  name    = "MyProject-production"
  trigger = "eventbridge-scheduler"
}

# To the role or user that the server runs as.
resource "aws_iam_role_policy_attachment" "server" {
  role       = "my-project-production"
  policy_arn = module.schedules.server_policy_arn
}

output "target_role_arn" {
  value = module.schedules.target_role_arn
}

output "scheduler_role_arn" {
  value = module.schedules.scheduler_role_arn
}
