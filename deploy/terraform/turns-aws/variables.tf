variable "github_subjects" {
  description = "Which GitHub Actions jobs may use the queues: patterns for the token's `sub` claim, each with one exact repository, for example `repo:octo-org/app:ref:refs/heads/main`, `repo:octo-org/app:environment:production` or `repo:octo-org/app:*`. Repositories created, renamed or transferred since 15 July 2026 have ids in it: `repo:octo-org@123456/app@456789:*`."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.github_subjects) > 0
    error_message = "github_subjects is empty: name at least one repository, for example \"repo:octo-org/app:*\"."
  }

  # The owner and the repository are exact, with both ids or none; only what follows them may hold the wildcard *.
  # No "$" and "?": IAM would read a policy variable or a wildcard.
  validation {
    condition = alltrue([
      for subject in var.github_subjects : can(regex(
        "^repo:([A-Za-z0-9_-]+/[A-Za-z0-9._-]+|[A-Za-z0-9_-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+):([*]|pull_request|environment:[^$?]+|ref:refs/(heads|tags)/[^$?]+)$",
        subject,
      ))
    ])
    error_message = "Each of github_subjects must be repo:OWNER/REPOSITORY:CONTEXT or repo:OWNER@ID/REPOSITORY@ID:CONTEXT with no wildcard before CONTEXT, which is *, pull_request, environment:NAME, ref:refs/heads/BRANCH or ref:refs/tags/TAG."
  }
}

variable "table_name" {
  description = "Name of the DynamoDB table; the `queue-table` input of the action. The default is the action's own."
  type        = string
  default     = "github-actions-dynamo-q-queue"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.table_name))
    error_message = "table_name must be 3 to 255 characters of A-Z a-z 0-9 _ . -"
  }
}

variable "create_table" {
  description = "Whether to create the table; `false` uses the existing one named `table_name`, after checking its keys."
  type        = bool
  default     = true
  nullable    = false
}

variable "point_in_time_recovery" {
  description = "Whether the created table keeps continuous backups. Queues are short-lived, so this is seldom worth its price."
  type        = bool
  default     = false
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the created table; turn it off before `terraform destroy`."
  type        = bool
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of your own KMS key for the created table; `null` leaves encryption to a key that AWS owns. The key's policy must let the role use it through DynamoDB: this module grants nothing on keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias or an id."
  }
}

variable "create_oidc_provider" {
  description = "Whether to create the account's OIDC provider for GitHub; `false` uses the existing one. An account can have only one."
  type        = bool
  default     = true
  nullable    = false
}

variable "role_name" {
  description = "Name of the role that jobs assume, and of its policy."
  type        = string
  default     = "github-actions-dynamoq"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.role_name))
    error_message = "role_name must be 1 to 64 characters of A-Z a-z 0-9 _ + = , . @ -"
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a permissions boundary for the role, where your organisation demands one."
  type        = string
  default     = null
}

variable "max_session_seconds" {
  description = "How long a job's credentials may live. Waiting and holding must fit into it, since a job cannot renew them; the action gives a turn back after 6 hours."
  type        = number
  default     = 21600
  nullable    = false

  validation {
    condition     = var.max_session_seconds >= 3600 && var.max_session_seconds <= 43200
    error_message = "max_session_seconds must be 3600 (1 hour) to 43200 (12 hours): IAM allows no other."
  }
}

variable "turn_action" {
  description = "What the `workflow` output says after `uses:`, for example `octo-org/signalbox/actions/turn@v1`."
  type        = string
  default     = "OWNER/signalbox/actions/turn@VERSION"
  nullable    = false
}

variable "tags" {
  description = "Tags for everything the module creates."
  type        = map(string)
  default     = {}
  nullable    = false
}
