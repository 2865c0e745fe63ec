# The tables and queues of the voting service, by the names it expects.

resource "aws_dynamodb_table" "topics" {
  name                        = "topics"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  attribute {
    name = "id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }
}

# Votes, and among them the shards of the tallies, which are not in the index.
resource "aws_dynamodb_table" "votes" {
  name                        = "votes"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  attribute {
    name = "id"
    type = "S"
  }

  attribute {
    name = "topic_id"
    type = "S"
  }

  attribute {
    name = "created"
    type = "S"
  }

  global_secondary_index {
    name            = "GroupByTopicOrderByCreated"
    hash_key        = "topic_id"
    range_key       = "created"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }
}

resource "aws_sqs_queue" "dead_letter" {
  name                      = "votes-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue" "votes" {
  name                       = "votes"
  visibility_timeout_seconds = var.visibility_seconds
  message_retention_seconds  = var.retention_seconds
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = var.max_receives
  })
}

# Only this queue may use it.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.votes.arn]
  })
}

# What the API may do, what a worker may do, and what `signalbox voting verify --repair` may do.

locals {
  topics_arn = aws_dynamodb_table.topics.arn
  votes_arn  = aws_dynamodb_table.votes.arn
  index_arn  = "${aws_dynamodb_table.votes.arn}/index/GroupByTopicOrderByCreated"
  queue_arn  = aws_sqs_queue.votes.arn
  dead_arn   = aws_sqs_queue.dead_letter.arn

  api_policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Topics", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan"], Resource = [local.topics_arn] },
      { Sid = "VotesAndTallies", Effect = "Allow", Action = ["dynamodb:BatchGetItem"], Resource = [local.votes_arn] },
      { Sid = "VotesByTime", Effect = "Allow", Action = ["dynamodb:Query"], Resource = [local.index_arn] },
      { Sid = "Cast", Effect = "Allow", Action = ["sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"], Resource = [local.queue_arn] },
    ]
  })

  worker_policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Count", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem"], Resource = [local.votes_arn] },
      { Sid = "Receive", Effect = "Allow", Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"], Resource = [local.queue_arn] },
      { Sid = "GiveUp", Effect = "Allow", Action = ["sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"], Resource = [local.dead_arn] },
    ]
  })

  verify_policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "ListTopics", Effect = "Allow", Action = ["dynamodb:Scan"], Resource = [local.topics_arn] },
      { Sid = "Recount", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:Scan"], Resource = [local.votes_arn] },
    ]
  })
}

resource "aws_iam_policy" "api" {
  name        = "${var.name}-api"
  description = "Keep topics, take votes and show them."
  policy      = local.api_policy_json
  tags        = var.tags
}

resource "aws_iam_policy" "worker" {
  name        = "${var.name}-worker"
  description = "Receive votes and count them."
  policy      = local.worker_policy_json
  tags        = var.tags
}

resource "aws_iam_policy" "verify" {
  name        = "${var.name}-verify"
  description = "Recount the votes and put the tallies right."
  policy      = local.verify_policy_json
  tags        = var.tags
}
