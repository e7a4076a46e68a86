variable "name" {
  description = "Name of the machine, its role and its log group."
  type        = string
}

variable "role_name" {
  description = "Name of the role where it cannot be the machine's, which a function's role has; null for the machine's."
  type        = string
  default     = null
}

variable "location" {
  description = "Partition, region and account, from which ARNs are built."
  type = object({
    partition  = string
    region     = string
    account_id = string
  })
}

variable "type" {
  description = "STANDARD keeps a history of each execution, runs each exactly once and is billed by the transition; EXPRESS has none of these, may run one twice, and is billed by time and memory."
  type        = string
  default     = "STANDARD"

  validation {
    condition     = contains(["STANDARD", "EXPRESS"], var.type)
    error_message = "type must be STANDARD or EXPRESS; got \"${var.type}\"."
  }
}

variable "definition" {
  description = "The machine in Amazon States Language, its placeholders filled in."
  type        = string

  validation {
    condition     = var.type == "EXPRESS" ? try(jsondecode(var.definition).TimeoutSeconds <= 300, false) : true
    error_message = "An EXPRESS machine must have TimeoutSeconds of at most 300, after which AWS ends it; got ${try(jsondecode(var.definition).TimeoutSeconds, "none")}."
  }
}

variable "function_arns" {
  description = "The functions its Task states invoke, and no other."
  type        = list(string)

  validation {
    condition     = length(var.function_arns) > 0 && !anytrue([for arn in var.function_arns : strcontains(arn, "*")])
    error_message = "function_arns must name at least one function, each by its exact ARN."
  }
}

variable "queue_arns" {
  description = "The queues its Task states send to, and no other."
  type        = list(string)
  default     = []

  validation {
    condition     = !anytrue([for arn in var.queue_arns : strcontains(arn, "*")])
    error_message = "queue_arns must name each queue by its exact ARN; got ${join(", ", var.queue_arns)}."
  }
}

variable "dead_letter_queue_name" {
  description = "Queue that receives the events of executions that ended badly, for the alarms' text; null where none does. EXPRESS executions have no such events."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "Days the log group keeps an event."
  type        = number
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  type        = string
}
