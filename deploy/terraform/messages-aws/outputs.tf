output "queue_name" {
  description = "Name of the queue, for `APP_QUEUENAME` or the sidecar's configuration."
  value       = aws_sqs_queue.queue.name
}

output "queue_url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.queue.id
}

output "queue_arn" {
  description = "ARN of the queue."
  value       = aws_sqs_queue.queue.arn
}

output "dead_letter_queue_name" {
  description = "Name of the dead-letter queue, for `signalbox messages redrive`."
  value       = aws_sqs_queue.dead_letter.name
}

output "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dead_letter.arn
}

output "consumer_policy_arn" {
  description = "ARN of the policy for who receives, to attach to roles of your own."
  value       = aws_iam_policy.consumer.arn
}

output "consumer_policy_json" {
  description = "The same policy as JSON, to merge into one of your own."
  value       = local.consumer_policy_json
}

output "producer_policy_arn" {
  description = "ARN of the policy for who sends, to attach to roles of your own."
  value       = aws_iam_policy.producer.arn
}

output "producer_policy_json" {
  description = "The same policy as JSON, to merge into one of your own."
  value       = local.producer_policy_json
}

output "role_arn" {
  description = "ARN of the role of the pods; `null` without a cluster. With IRSA it belongs into the service account's annotation `eks.amazonaws.com/role-arn`."
  value       = one(aws_iam_role.pods[*].arn)
}
