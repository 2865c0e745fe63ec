# The reference's queue with a dead-letter queue and two policies. `terraform init && terraform apply`.

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
  region = "us-east-1"
}

module "messages" {
  source = "../.."
}

output "queue_name" {
  value = module.messages.queue_name
}
