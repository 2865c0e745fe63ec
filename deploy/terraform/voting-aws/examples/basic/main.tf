# Tables, queues and policies, and a role for tasks on ECS that are API and worker in one. `terraform init && terraform apply`.

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

module "voting" {
  source = "../.."

  tags = { service = "voting" }
}

resource "aws_iam_role" "voting" {
  name = "voting"

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "api" {
  role       = aws_iam_role.voting.name
  policy_arn = module.voting.api_policy_arn
}

resource "aws_iam_role_policy_attachment" "worker" {
  role       = aws_iam_role.voting.name
  policy_arn = module.voting.worker_policy_arn
}
