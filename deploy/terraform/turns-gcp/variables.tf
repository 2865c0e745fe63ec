variable "project_id" {
  description = "Id of the Google Cloud project (not its number or name); the `gcp-project` input of the action."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be the project's id: 6 to 30 characters of a-z 0-9 -, for example \"octo-ci\"."
  }
}

variable "location" {
  description = "Where the database lies, for example `europe-west3`, `us-central1`, or the multi-regions `eur3` and `nam5`. It cannot be changed later. Needed where the database is created."
  type        = string
  default     = null

  validation {
    condition     = var.location == null || can(regex("^(eur3|nam5|nam7|[a-z]+-[a-z]+[0-9]+)$", var.location))
    error_message = "location must be a location of Firestore, for example europe-west3, eur3, us-central1 or nam5 (us-central is none: take nam5)."
  }
}

variable "github_repositories" {
  description = "Which repositories may use the queues, each exact: `octo-org/app`, in the spelling GitHub shows."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.github_repositories) > 0
    error_message = "github_repositories is empty: name at least one, for example \"octo-org/app\"."
  }

  validation {
    condition = alltrue([
      for repository in var.github_repositories : can(regex("^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$", repository))
    ])
    error_message = "Each of github_repositories must be OWNER/REPOSITORY without a wildcard, for example \"octo-org/app\"."
  }
}

variable "github_owner_ids" {
  description = "Numeric ids of the owners (`gh api users/octo-org --jq .id`). When set, a token must come from one of them: who takes over a freed name gets nothing."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.github_owner_ids : can(regex("^[0-9]+$", id))])
    error_message = "Each of github_owner_ids must be a number, as `gh api users/OWNER --jq .id` prints it."
  }
}

variable "database" {
  description = "Name of the Firestore database; the `gcp-database` input of the action. The default is the action's own."
  type        = string
  default     = "github-dynamoq"
  nullable    = false

  validation {
    condition     = var.database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.database))
    error_message = "database must be \"(default)\" or 4 to 63 characters of a-z 0-9 - that begin with a letter and do not end with -"
  }
}

variable "create_database" {
  description = "Whether to create the database; `false` uses the existing one named `database`, which must be in native mode."
  type        = bool
  default     = true
  nullable    = false
}

variable "delete_protection" {
  description = "Whether Firestore refuses to delete the created database, and `terraform destroy` leaves it in place."
  type        = bool
  default     = true
  nullable    = false
}

variable "collection" {
  description = "Name of the collection; the `queue-table` input of the action. The default is the action's own."
  type        = string
  default     = "github-actions-dynamo-q-queue"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,255}$", var.collection)) && !can(regex("^([.]{1,2}|__.*__)$", var.collection))
    error_message = "collection must be 1 to 255 characters of A-Z a-z 0-9 _ . - and neither . nor .. nor __name__"
  }
}

variable "history_index" {
  description = "Whether to add the descending index too, for reading a queue's records newest first. Taking turns needs the ascending one alone."
  type        = bool
  default     = false
  nullable    = false
}

variable "expiry" {
  description = "Whether Firestore deletes records whose `expireAt` has passed. Needs a project with billing."
  type        = bool
  default     = true
  nullable    = false
}

variable "service_account_id" {
  description = "Id of the service account that jobs act as."
  type        = string
  default     = "github-actions-dynamoq"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.service_account_id))
    error_message = "service_account_id must be 6 to 30 characters of a-z 0-9 - that begin with a letter and do not end with -"
  }
}

variable "workload_identity_pool_id" {
  description = "Id of the workload identity pool. A deleted pool keeps its id for 30 days: take another, or undelete it."
  type        = string
  default     = "github-actions"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]{4,32}$", var.workload_identity_pool_id)) && !startswith(var.workload_identity_pool_id, "gcp-")
    error_message = "workload_identity_pool_id must be 4 to 32 characters of a-z 0-9 - and not begin with gcp-"
  }
}

variable "enable_services" {
  description = "Whether to enable the project's services (firestore, iam, iamcredentials, sts); `false` if that is done elsewhere."
  type        = bool
  default     = true
  nullable    = false
}

variable "turn_action" {
  description = "What the `workflow` output says after `uses:`, for example `octo-org/signalbox/actions/turn@v1`."
  type        = string
  default     = "OWNER/signalbox/actions/turn@VERSION"
  nullable    = false
}
