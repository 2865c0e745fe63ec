output "table_name" {
  description = "Name of the table; the `queue-table` input of the action."
  value       = var.table_name
}

output "table_arn" {
  description = "ARN of the table."
  value       = local.table_arn
}

output "role_arn" {
  description = "ARN of the role that jobs assume."
  value       = aws_iam_role.queue.arn
}

output "policy_arn" {
  description = "ARN of the policy, to attach to other roles (a self-hosted runner's, for example)."
  value       = aws_iam_policy.queue.arn
}

output "policy_json" {
  description = "The policy as JSON, to merge into one of your own."
  value       = local.policy_json
}

output "oidc_provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub."
  value       = local.oidc_provider_arn
}

output "workflow" {
  description = "A workflow to copy into `.github/workflows/`: `terraform output -raw workflow`."
  value       = <<-YAML
    name: Deploy in turn
    on: workflow_dispatch

    permissions:
      id-token: write
      contents: read

    jobs:
      deploy:
        runs-on: ubuntu-latest
        steps:
          - uses: aws-actions/configure-aws-credentials@v6
            with:
              role-to-assume: ${aws_iam_role.queue.arn}
              aws-region: ${local.region}
              role-duration-seconds: ${var.max_session_seconds}
          - uses: ${var.turn_action}
            with:
              queue-name: deploy
              queue-table: ${var.table_name}
          - run: echo "It is my turn; it is given back when this job ends."
  YAML
}
