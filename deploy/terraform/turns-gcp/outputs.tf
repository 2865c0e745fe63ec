output "workload_identity_provider" {
  description = "Full name of the provider; the input of the same name of `google-github-actions/auth`."
  value       = google_iam_workload_identity_pool_provider.github.name
}

output "service_account_email" {
  description = "The service account that jobs act as."
  value       = google_service_account.queue.email
}

output "database" {
  description = "Name of the database; the `gcp-database` input of the action."
  value       = local.database
}

output "collection" {
  description = "Name of the collection; the `queue-table` input of the action."
  value       = var.collection
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
          - uses: actions/checkout@v6
          - uses: google-github-actions/auth@v3
            with:
              workload_identity_provider: ${google_iam_workload_identity_pool_provider.github.name}
              service_account: ${google_service_account.queue.email}
          - uses: ${var.turn_action}
            with:
              backend: gcp
              queue-name: deploy
              queue-table: ${var.collection}
              gcp-project: ${var.project_id}
              gcp-database: ${local.database}
          - run: echo "It is my turn; it is given back when this job ends."
  YAML
}
