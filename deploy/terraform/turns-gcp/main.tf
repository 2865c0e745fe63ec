resource "google_project_service" "required" {
  for_each = var.enable_services ? toset([
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "sts.googleapis.com",
  ]) : toset([])

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false
}

# The database: every record of every queue, in one collection, with the names that Dynamo-Q's clients use too.

resource "google_firestore_database" "queue" {
  count = var.create_database ? 1 : 0

  project                 = var.project_id
  name                    = var.database
  location_id             = var.location
  type                    = "FIRESTORE_NATIVE"
  delete_protection_state = var.delete_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy         = var.delete_protection ? "ABANDON" : "DELETE"

  depends_on = [google_project_service.required]

  lifecycle {
    precondition {
      condition     = var.location != null
      error_message = "location is missing: say where the database shall lie, for example location = \"europe-west3\"."
    }
  }
}

locals {
  database = var.create_database ? google_firestore_database.queue[0].name : var.database
}

resource "google_firestore_index" "oldest_first" {
  project    = var.project_id
  database   = local.database
  collection = var.collection

  fields {
    field_path = "queueName"
    order      = "ASCENDING"
  }

  fields {
    field_path = "entryTimestamp"
    order      = "ASCENDING"
  }

  fields {
    field_path = "__name__"
    order      = "ASCENDING"
  }
}

resource "google_firestore_index" "newest_first" {
  count = var.history_index ? 1 : 0

  project    = var.project_id
  database   = local.database
  collection = var.collection

  fields {
    field_path = "queueName"
    order      = "ASCENDING"
  }

  fields {
    field_path = "entryTimestamp"
    order      = "DESCENDING"
  }

  fields {
    field_path = "__name__"
    order      = "DESCENDING"
  }
}

# Nobody queries by the field: without an index of its own it cannot become a hot spot.
resource "google_firestore_field" "expire_at" {
  count = var.expiry ? 1 : 0

  project    = var.project_id
  database   = local.database
  collection = var.collection
  field      = "expireAt"

  ttl_config {}
  index_config {}
}

# Fields that nobody queries by: indexes of them would only cost.
resource "google_firestore_field" "unindexed" {
  for_each = toset(["value", "nonce"])

  project    = var.project_id
  database   = local.database
  collection = var.collection
  field      = each.value

  index_config {}
}

# What a job may do: read and write documents in this database, and in no other of the project.

resource "google_service_account" "queue" {
  project      = var.project_id
  account_id   = var.service_account_id
  display_name = "GitHub Actions turn queues"

  depends_on = [google_project_service.required]
}

resource "google_project_iam_member" "queue" {
  project = var.project_id
  role    = "roles/datastore.user"
  member  = "serviceAccount:${google_service_account.queue.email}"

  condition {
    title       = "Turn queues alone"
    description = "The Firestore database ${var.database}"
    expression  = "resource.name == \"projects/${var.project_id}/databases/${var.database}\""
  }
}

# Who may do it: jobs of `github_repositories`, by the token that GitHub signs for each.

resource "google_iam_workload_identity_pool" "github" {
  project                   = var.project_id
  workload_identity_pool_id = var.workload_identity_pool_id
  display_name              = "GitHub Actions"

  depends_on = [google_project_service.required]
}

locals {
  # JSON strings are CEL strings, and a JSON list is a CEL list.
  attribute_condition = join(" && ", concat(
    ["assertion.repository in ${jsonencode(var.github_repositories)}"],
    length(var.github_owner_ids) > 0 ? ["assertion.repository_owner_id in ${jsonencode(var.github_owner_ids)}"] : [],
  ))
}

resource "google_iam_workload_identity_pool_provider" "github" {
  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub OIDC"
  attribute_condition                = local.attribute_condition

  attribute_mapping = {
    # Not assertion.sub: a long branch name would take it past the 127 bytes that a subject may have.
    "google.subject"       = "\"repository:\" + assertion.repository_id + \":run:\" + assertion.run_id"
    "attribute.repository" = "assertion.repository"
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  for_each = toset(var.github_repositories)

  service_account_id = google_service_account.queue.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/attribute.repository/${each.value}"
}
