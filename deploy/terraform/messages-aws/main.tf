# The queue, and the dead-letter queue that takes what was received too often.

locals {
  suffix = var.fifo ? ".fifo" : ""
}

resource "aws_sqs_queue" "dead_letter" {
  name                              = "${var.name}-dead${local.suffix}"
  fifo_queue                        = var.fifo
  message_retention_seconds         = var.dead_letter_retention_seconds
  max_message_size                  = var.max_message_bytes
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 3600
  tags                              = var.tags
}

resource "aws_sqs_queue" "queue" {
  name                              = "${var.name}${local.suffix}"
  fifo_queue                        = var.fifo
  content_based_deduplication       = var.fifo ? var.content_deduplication : null
  deduplication_scope               = var.fifo ? "messageGroup" : null
  fifo_throughput_limit             = var.fifo ? "perMessageGroupId" : null
  visibility_timeout_seconds        = var.visibility_seconds
  delay_seconds                     = var.delay_seconds
  message_retention_seconds         = var.retention_seconds
  receive_wait_time_seconds         = 20
  max_message_size                  = var.max_message_bytes
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 3600
  tags                              = var.tags

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
    sourceQueueArns   = [aws_sqs_queue.queue.arn]
  })
}

# What who receives may do, and what who sends may do: on the queue alone, and on its key where it has one of yours.

locals {
  consumer_actions = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
  ]

  # A sidecar looks up the queue it is set to before it sends.
  producer_actions = [
    "sqs:SendMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
  ]

  consumer_key_actions = ["kms:Decrypt"]
  producer_key_actions = ["kms:Decrypt", "kms:GenerateDataKey"]

  consumer_policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Sid = "Consume", Effect = "Allow", Action = local.consumer_actions, Resource = [aws_sqs_queue.queue.arn] }],
      [for key in compact([var.kms_key_arn]) : { Sid = "ConsumeKey", Effect = "Allow", Action = local.consumer_key_actions, Resource = [key] }],
    )
  })

  producer_policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Sid = "Produce", Effect = "Allow", Action = local.producer_actions, Resource = [aws_sqs_queue.queue.arn] }],
      [for key in compact([var.kms_key_arn]) : { Sid = "ProduceKey", Effect = "Allow", Action = local.producer_key_actions, Resource = [key] }],
    )
  })
}

resource "aws_iam_policy" "consumer" {
  name        = "${var.name}-consumer"
  description = "Receive from the queue ${var.name}${local.suffix}, and acknowledge."
  policy      = local.consumer_policy_json
  tags        = var.tags
}

resource "aws_iam_policy" "producer" {
  name        = "${var.name}-producer"
  description = "Send to the queue ${var.name}${local.suffix}."
  policy      = local.producer_policy_json
  tags        = var.tags
}

# Who may do it, on Kubernetes: the pods of one service account, by EKS Pod Identity or by the cluster's OIDC provider (IRSA).

locals {
  pod_identity = var.pod_identity_cluster != null
  irsa         = var.oidc_provider_arn != null
  issuer       = local.irsa ? replace(var.oidc_provider_arn, "/^.*:oidc-provider//", "") : ""

  pod_identity_trust = {
    Effect    = "Allow"
    Action    = ["sts:AssumeRole", "sts:TagSession"]
    Principal = { Service = "pods.eks.amazonaws.com" }
    Condition = {
      StringEquals = {
        "aws:RequestTag/kubernetes-namespace"       = var.service_account.namespace
        "aws:RequestTag/kubernetes-service-account" = var.service_account.name
      }
    }
  }

  irsa_trust = {
    Effect    = "Allow"
    Action    = ["sts:AssumeRoleWithWebIdentity"]
    Principal = { Federated = var.oidc_provider_arn }
    Condition = {
      StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = "system:serviceaccount:${var.service_account.namespace}:${var.service_account.name}"
      }
    }
  }

  trust_json = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([for t in [local.pod_identity_trust] : t if local.pod_identity], [for t in [local.irsa_trust] : t if local.irsa])
  })
}

resource "aws_iam_role" "pods" {
  count = local.pod_identity || local.irsa ? 1 : 0

  name                 = "${var.name}-pods"
  description          = "Assumed by the pods of ${var.service_account.namespace}/${var.service_account.name} for the queue ${var.name}${local.suffix}."
  assume_role_policy   = local.trust_json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "consumer" {
  count = contains(var.pods_may, "consume") ? length(aws_iam_role.pods) : 0

  role       = aws_iam_role.pods[0].name
  policy_arn = aws_iam_policy.consumer.arn
}

resource "aws_iam_role_policy_attachment" "producer" {
  count = contains(var.pods_may, "produce") ? length(aws_iam_role.pods) : 0

  role       = aws_iam_role.pods[0].name
  policy_arn = aws_iam_policy.producer.arn
}

resource "aws_eks_pod_identity_association" "pods" {
  count = local.pod_identity ? 1 : 0

  cluster_name    = var.pod_identity_cluster
  namespace       = var.service_account.namespace
  service_account = var.service_account.name
  role_arn        = aws_iam_role.pods[0].arn
  tags            = var.tags
}
