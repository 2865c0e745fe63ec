# A FIFO queue that the sidecars of one service account on an EKS cluster with Pod Identity receive from and send to.

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

  name                  = "orders"
  fifo                  = true
  content_deduplication = true
  pod_identity_cluster  = "production"
  service_account       = { namespace = "shop", name = "orders" }
  pods_may              = ["consume", "produce"]
}

output "role_arn" {
  value = module.messages.role_arn
}
