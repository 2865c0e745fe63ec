variable "name" {
  description = "Project and environment, such as `MyProject-test`: begins the names of everything, `MyProject-test-RunJob-Connection` among them."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,42}$", var.name))
    error_message = "name must be 1 to 42 characters of A-Z a-z 0-9 _ . - (longer ones leave no room for the names made from it)."
  }
}

variable "trigger" {
  description = "What fires the schedules, as in the server's `schedules.trigger`: `eventbridge` (a rule for each) or `eventbridge-scheduler`."
  type        = string
  default     = "eventbridge"
  nullable    = false

  validation {
    condition     = contains(["eventbridge", "eventbridge-scheduler"], var.trigger)
    error_message = "trigger must be \"eventbridge\" or \"eventbridge-scheduler\"."
  }
}

variable "connection_name" {
  description = "Name of the connection, where it is not `NAME-RunJob-Connection`."
  type        = string
  default     = null

  validation {
    condition     = var.connection_name == null || can(regex("^[A-Za-z0-9_.-]{1,64}$", var.connection_name))
    error_message = "connection_name must be 1 to 64 characters of A-Z a-z 0-9 _ . -."
  }
}

variable "api_destination_name" {
  description = "Name of the API destination, where it is not `NAME-RunJob-ApiDestination`."
  type        = string
  default     = null

  validation {
    condition     = var.api_destination_name == null || can(regex("^[A-Za-z0-9_.-]{1,64}$", var.api_destination_name))
    error_message = "api_destination_name must be 1 to 64 characters of A-Z a-z 0-9 _ . -."
  }
}

variable "namespace" {
  description = "Value of the tag `signalbox` on what the server makes, where the server's `schedules.eventBridge.namespace` is set; else the name of the connection."
  type        = string
  default     = null

  validation {
    condition     = var.namespace == null || can(regex("^[A-Za-z0-9_.-]{1,64}$", var.namespace))
    error_message = "namespace must be 1 to 64 characters of A-Z a-z 0-9 _ . -."
  }
}

variable "rule_prefix" {
  description = "With `eventbridge`: what the names of the rules begin with, where the server's `schedules.eventBridge.namePrefix` is set."
  type        = string
  default     = ""
  nullable    = false

  # No wildcard: it goes into the policy.
  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{0,32}$", var.rule_prefix))
    error_message = "rule_prefix must be at most 32 characters of A-Z a-z 0-9 _ . -."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a permissions boundary for the roles, where your organisation demands one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for everything the module creates."
  type        = map(string)
  default     = {}
  nullable    = false
}
