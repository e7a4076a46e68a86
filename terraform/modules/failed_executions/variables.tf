variable "name" {
  description = "Name of the rule."
  type        = string
}

variable "machine" {
  description = "Name and ARN of the state machine."
  type        = object({ name = string, arn = string })
}

variable "dead_letter_queue_arn" {
  description = "The queue that the executions go to. Its policy must let the rule send."
  type        = string
}

variable "undelivered_queue_arn" {
  description = "The queue of what EventBridge could not hand over. Its policy must let the rule send."
  type        = string
}
