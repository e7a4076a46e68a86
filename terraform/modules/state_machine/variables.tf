variable "name" {
  description = "Name of the machine, its role and its log group."
  type        = string
}

variable "location" {
  description = "Partition, region and account, from which ARNs are built."
  type = object({
    partition  = string
    region     = string
    account_id = string
  })
}

variable "definition" {
  description = "The machine in Amazon States Language, its placeholders filled in."
  type        = string
}

variable "function_arns" {
  description = "The functions its Task states invoke, and no other."
  type        = list(string)

  validation {
    condition     = length(var.function_arns) > 0 && !anytrue([for arn in var.function_arns : strcontains(arn, "*")])
    error_message = "function_arns must name at least one function, each by its exact ARN."
  }
}

variable "dead_letter_queue_name" {
  description = "Queue that receives the events of executions that ended badly, for the alarms' text."
  type        = string
}

variable "log_retention_days" {
  description = "Days the log group keeps an event."
  type        = number
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  type        = string
}
