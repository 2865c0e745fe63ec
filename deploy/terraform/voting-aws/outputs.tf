output "api_policy_arn" {
  description = "ARN of the policy for the role that `signalbox voting api` runs as."
  value       = aws_iam_policy.api.arn
}

output "worker_policy_arn" {
  description = "ARN of the policy for the role that `signalbox voting worker` runs as."
  value       = aws_iam_policy.worker.arn
}

output "verify_policy_arn" {
  description = "ARN of the policy for whoever runs `signalbox voting verify`."
  value       = aws_iam_policy.verify.arn
}

output "queue_url" {
  description = "URL of the queue between API and workers."
  value       = aws_sqs_queue.votes.id
}

output "dead_letter_queue_url" {
  description = "URL of the dead-letter queue, to watch and to redrive."
  value       = aws_sqs_queue.dead_letter.id
}
