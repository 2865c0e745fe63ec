# The table: every record of every queue, with the keys that Dynamo-Q's clients use too.

resource "aws_dynamodb_table" "queue" {
  count = var.create_table ? 1 : 0

  name                        = var.table_name
  billing_mode                = "PAY_PER_REQUEST"
  table_class                 = "STANDARD"
  hash_key                    = "queueName"
  range_key                   = "entryTimestamp"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "queueName"
    type = "S"
  }

  attribute {
    name = "entryTimestamp"
    type = "N"
  }

  ttl {
    attribute_name = "lastUpdated"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }

  tags = merge({ Name = "GitHub Actions queue table" }, var.tags)
}

data "aws_dynamodb_table" "queue" {
  count = var.create_table ? 0 : 1

  name = var.table_name

  lifecycle {
    postcondition {
      condition = (
        self.hash_key == "queueName" && self.range_key == "entryTimestamp" &&
        contains([for attribute in self.attribute : "${attribute.name}:${attribute.type}"], "queueName:S") &&
        contains([for attribute in self.attribute : "${attribute.name}:${attribute.type}"], "entryTimestamp:N")
      )
      error_message = "The table ${var.table_name} cannot hold turn queues: its hash key must be queueName (S) and its range key entryTimestamp (N)."
    }
  }
}

locals {
  table_arn = var.create_table ? aws_dynamodb_table.queue[0].arn : data.aws_dynamodb_table.queue[0].arn
  region    = split(":", local.table_arn)[3]
}

# What a job may do: these six actions on this table, and nothing else.

locals {
  table_actions = [
    "dynamodb:UpdateItem",
    "dynamodb:Query",
    "dynamodb:PutItem",
    "dynamodb:GetItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
  ]

  policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "TurnQueues"
      Effect   = "Allow"
      Action   = local.table_actions
      Resource = [local.table_arn]
    }]
  })
}

resource "aws_iam_policy" "queue" {
  name        = var.role_name
  description = "Join, hold and leave the turn queues in the DynamoDB table ${var.table_name}."
  policy      = local.policy_json
  tags        = var.tags
}

# Who may do it: the jobs of `github_subjects`, by the token that GitHub signs for each.

locals {
  issuer = "token.actions.githubusercontent.com"
}

# No thumbprints: for GitHub, IAM trusts the certificate authorities it knows and ignores any that are set.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

data "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 0 : 1

  url = "https://${local.issuer}"

  lifecycle {
    postcondition {
      condition     = contains(self.client_id_list, "sts.amazonaws.com")
      error_message = "The account's OIDC provider for GitHub does not accept the audience sts.amazonaws.com: add it to the provider."
    }
  }
}

locals {
  oidc_provider_arn = (
    var.create_oidc_provider
    ? aws_iam_openid_connect_provider.github[0].arn
    : data.aws_iam_openid_connect_provider.github[0].arn
  )

  trust_json = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.oidc_provider_arn }
      Condition = {
        StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com" }
        StringLike   = { "${local.issuer}:sub" = var.github_subjects }
      }
    }]
  })
}

resource "aws_iam_role" "queue" {
  name                 = var.role_name
  description          = "Assumed by GitHub Actions jobs to take turns in the queues of ${var.table_name}."
  assume_role_policy   = local.trust_json
  max_session_duration = var.max_session_seconds
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "queue" {
  role       = aws_iam_role.queue.name
  policy_arn = aws_iam_policy.queue.arn
}
