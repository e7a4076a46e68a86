variable "name" {
  description = "Name of the queue."
  type        = string
}

variable "arn" {
  description = "ARN the queue will have: its own policy names it."
  type        = string

  validation {
    condition     = endswith(var.arn, ":${var.name}")
    error_message = "arn must be that of the queue \"${var.name}\"; got \"${var.arn}\"."
  }
}

variable "source_queue_arns" {
  description = "Queues that may use this one as their dead letter queue. None: it is fed by SendMessage only, and no queue may name it."
  type        = list(string)
  default     = []
}

variable "senders" {
  description = "AWS services that send without a role (EventBridge rules, SNS topics), each bound to one source."
  type = list(object({
    sid        = string
    service    = string
    source_arn = string
  }))
  default = []
}

variable "age_alarm_seconds" {
  description = "Age of the oldest message that raises the second alarm: nobody acted on the first. A day by default."
  type        = number
  default     = 86400

  validation {
    condition     = var.age_alarm_seconds >= 60 && var.age_alarm_seconds < 1209600
    error_message = "age_alarm_seconds must be 60 to 1209599 (a message is deleted after 14 days); got ${var.age_alarm_seconds}."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  type        = string
}
