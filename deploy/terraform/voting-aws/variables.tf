variable "name" {
  description = "Begins the names of the policies. Tables and queues have the names that the service expects: `topics`, `votes`, `votes-dead`."
  type        = string
  default     = "signalbox-voting"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,100}$", var.name))
    error_message = "name must be 1 to 100 characters of A-Z a-z 0-9 _ + = , . @ -."
  }
}

variable "visibility_seconds" {
  description = "How long a received vote stays hidden, 1 to 900. A killed worker's votes come again after so long at most; workers say their own."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.visibility_seconds >= 1 && var.visibility_seconds <= 900
    error_message = "visibility_seconds must be 1 to 900 (15 minutes)."
  }
}

variable "retention_seconds" {
  description = "How long a vote may wait to be counted before it is dropped, 60 to 1209600."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.retention_seconds >= 60 && var.retention_seconds <= 1209600
    error_message = "retention_seconds must be 60 (1 minute) to 1209600 (14 days)."
  }
}

variable "max_receives" {
  description = "How often a vote is received before it goes to the dead-letter queue, 30 to 1000: workers try 20 times, and what they hand back while they stop counts too."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.max_receives >= 30 && var.max_receives <= 1000
    error_message = "max_receives must be 30 to 1000."
  }
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted."
  type        = bool
  default     = true
  nullable    = false
}

variable "point_in_time_recovery" {
  description = "Whether the tables can be restored to any second of the last 35 days."
  type        = bool
  default     = true
  nullable    = false
}

variable "tags" {
  description = "Tags for everything the module creates."
  type        = map(string)
  default     = {}
  nullable    = false
}
