output "target_role_arn" {
  description = "ARN of the role that EventBridge calls the server with, for `AwsEventBridgeSettings__TargetRoleArn`."
  value       = aws_iam_role.target.arn
}

output "scheduler_role_arn" {
  description = "ARN of the role that EventBridge Scheduler works with, for `SIGNALBOX_SCHEDULES_EVENT_BRIDGE_SCHEDULER_ROLE_ARN`; `null` with rules."
  value       = one(aws_iam_role.scheduler[*].arn)
}

output "connection_name" {
  description = "Name of the connection, for `AwsEventBridgeSettings__ApiConnectionName`."
  value       = local.connection_name
}

output "api_destination_name" {
  description = "Name of the API destination, for `AwsEventBridgeSettings__ApiDestinationName`."
  value       = local.api_destination_name
}

output "server_policy_arn" {
  description = "ARN of the policy for the role or user that the server runs as."
  value       = aws_iam_policy.server.arn
}

output "server_policy_json" {
  description = "The same policy as JSON, to merge into one of your own."
  value       = local.server_policy_json
}
