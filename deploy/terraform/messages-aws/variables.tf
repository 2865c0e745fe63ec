variable "name" {
  description = "Name of the queue, without the `.fifo` of a FIFO queue; what the sidecar's `APP_QUEUENAME` says. The default is the reference's."
  type        = string
  default     = "sqs-sample-1"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,54}$", var.name))
    error_message = "name must be 1 to 54 characters of A-Z a-z 0-9 _ - (longer ones leave no room for the names made from it)."
  }
}

variable "fifo" {
  description = "Whether the queue keeps the order of its message groups; its name then ends in `.fifo`."
  type        = bool
  default     = false
  nullable    = false
}

variable "content_deduplication" {
  description = "FIFO: whether a message without deduplication id gets the hash of its body."
  type        = bool
  default     = false
  nullable    = false
}

variable "visibility_seconds" {
  description = "How long a received message stays hidden, 0 to 43200. The sidecar extends it while a consumer works."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.visibility_seconds >= 0 && var.visibility_seconds <= 43200
    error_message = "visibility_seconds must be 0 to 43200 (12 hours)."
  }
}

variable "delay_seconds" {
  description = "How long a sent message stays hidden at first, 0 to 900."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.delay_seconds >= 0 && var.delay_seconds <= 900
    error_message = "delay_seconds must be 0 to 900 (15 minutes)."
  }
}

variable "retention_seconds" {
  description = "Age at which a message is dropped, 60 to 1209600."
  type        = number
  default     = 345600
  nullable    = false

  validation {
    condition     = var.retention_seconds >= 60 && var.retention_seconds <= 1209600
    error_message = "retention_seconds must be 60 (1 minute) to 1209600 (14 days)."
  }
}

variable "max_receives" {
  description = "How often a message is received before it goes to the dead-letter queue, 1 to 1000."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_receives >= 1 && var.max_receives <= 1000
    error_message = "max_receives must be 1 to 1000."
  }
}

variable "dead_letter_retention_seconds" {
  description = "Age at which the dead-letter queue drops a message, 60 to 1209600. On a standard queue the age counts from the first send, so this must be longer than `retention_seconds`."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.dead_letter_retention_seconds >= 60 && var.dead_letter_retention_seconds <= 1209600
    error_message = "dead_letter_retention_seconds must be 60 (1 minute) to 1209600 (14 days)."
  }
}

variable "max_message_bytes" {
  description = "The largest message, attributes included, 1024 to 1048576."
  type        = number
  default     = 1048576
  nullable    = false

  validation {
    condition     = var.max_message_bytes >= 1024 && var.max_message_bytes <= 1048576
    error_message = "max_message_bytes must be 1024 (1 KiB) to 1048576 (1 MiB)."
  }
}

variable "kms_key_arn" {
  description = "ARN of your own KMS key for the queues; `null` leaves encryption to keys that SQS owns. The policies then allow its use too."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias or an id."
  }
}

variable "service_account" {
  description = "The Kubernetes service account whose pods may use the queue, once a cluster is named below."
  type        = object({ namespace = string, name = string })
  default     = { namespace = "default", name = "signalbox-sidecar" }
  nullable    = false

  # No wildcard: IAM compares these exactly, and Kubernetes allows none.
  validation {
    condition     = alltrue([for text in values(var.service_account) : can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", text))])
    error_message = "service_account: namespace and name are Kubernetes names (a-z 0-9 - .), without wildcards."
  }
}

variable "pod_identity_cluster" {
  description = "Name of an EKS cluster with the Pod Identity agent: makes a role for the service account, and the association."
  type        = string
  default     = null
}

variable "oidc_provider_arn" {
  description = "ARN of the IAM OIDC provider of a cluster (IRSA): makes a role that the service account's pods assume by their token."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/[^*?$]+$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be arn:aws:iam::ACCOUNT:oidc-provider/ISSUER."
  }
}

variable "pods_may" {
  description = "What the service account's pods may do: `consume`, `produce` or both."
  type        = set(string)
  default     = ["consume"]
  nullable    = false

  validation {
    condition     = length(var.pods_may) > 0 && length(setsubtract(var.pods_may, ["consume", "produce"])) == 0
    error_message = "pods_may must hold \"consume\", \"produce\" or both."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a permissions boundary for the role, where your organisation demands one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for everything the module creates."
  type        = map(string)
  default     = {}
  nullable    = false
}
