variable "table_name" {
  description = "Name of the table, and what the alarms' names begin with."
  type        = string
}

variable "operations" {
  description = "What the functions call on the table, such as PutItem: DynamoDB counts its own errors by operation."
  type        = set(string)

  validation {
    condition     = length(var.operations) > 0
    error_message = "operations must name at least one operation, such as PutItem; got none."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  type        = string
}
