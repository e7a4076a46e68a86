variable "name" {
  description = "Name of the queue; its dead letter queue is called the same with -dlq."
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

variable "consumer_timeout_seconds" {
  description = "Timeout of the function the queue feeds."
  type        = number
}

variable "visibility_timeout_seconds" {
  description = "How long a received message is hidden. AWS asks for six times the function's timeout: a throttled batch is tried again before its messages reappear and count a receive."
  type        = number

  validation {
    condition     = var.visibility_timeout_seconds >= 6 * var.consumer_timeout_seconds && var.visibility_timeout_seconds <= 43200
    error_message = "visibility_timeout_seconds must be at least six times the function's timeout (${6 * var.consumer_timeout_seconds}) and at most 43200; got ${var.visibility_timeout_seconds}."
  }
}

variable "max_receive_count" {
  description = "Receives after which a message is given up. Five: AWS advises no fewer for a function, whose throttled batches count as well."
  type        = number
  default     = 5

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be 1 to 1000; got ${var.max_receive_count}."
  }
}

variable "senders" {
  description = "AWS services that send without a role (SNS topics), each bound to one source."
  type = list(object({
    sid        = string
    service    = string
    source_arn = string
  }))
  default = []
}

variable "age_alarm_seconds" {
  description = "Age of the oldest message that raises the alarm. It counts from the send, a message's delay included."
  type        = number
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  type        = string
}
