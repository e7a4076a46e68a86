variable "name" {
  description = "Name of the function, its role and (under /aws/lambda/) its log group. IAM names end at 64 characters."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,63}$", var.name))
    error_message = "name must be 1 to 64 lower-case letters, digits and hyphens, beginning with a letter; got \"${var.name}\"."
  }
}

variable "description" {
  description = "What the function does, in one sentence, for whoever finds it in the console."
  type        = string
}

variable "artifact" {
  description = "Folder of the artefact, a zip with one file, under artifacts_dir: <artifact>/bootstrap.zip."
  type        = string
}

variable "shared" {
  description = "What every function of the suite is given. ARNs are built from `location`, so that a plan shows each policy in full and references cannot form a cycle."
  type = object({
    location = object({
      partition  = string
      region     = string
      account_id = string
    })
    artifacts_dir      = string
    artifacts_bucket   = string
    architecture       = string
    log_level          = string
    log_retention_days = number
    tracing            = bool
    alarm_topic_arn    = string
  })
}

variable "environment" {
  description = "Environment beside LOG_LEVEL. Never a secret: a function is given a secret's ARN and reads it itself."
  type        = map(string)
}

variable "statements" {
  description = "What the role may do beyond writing its logs: exact actions on exact ARNs."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))

  validation {
    condition     = !anytrue([for value in flatten([for s in var.statements : concat(s.actions, s.resources)]) : strcontains(value, "*")])
    error_message = "statements must name exact actions and exact ARNs: no \"*\"."
  }
}

variable "timeout_seconds" {
  description = "After this Lambda kills the run. A queue that feeds the function hides a message at least six times as long."
  type        = number
  default     = 10

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must be 1 to 900 (Lambda's limit); got ${var.timeout_seconds}."
  }
}

variable "memory_mb" {
  description = "Memory, and with it the share of a processor: 256 MB proves in milliseconds and costs least a run."
  type        = number
  default     = 256
}

variable "async_dead_letter_queue_arn" {
  description = "Queue for events of asynchronous invocations that failed three times; null for a function that nobody invokes so."
  type        = string
  default     = null
}

variable "error_alarm_threshold" {
  description = "Failed runs in 5 minutes that raise the alarm. Three: an asynchronous event that fails for good has three runs, while a single retried failure is the design at work."
  type        = number
  default     = 3
}
