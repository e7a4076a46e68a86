variable "name" {
  description = "Name of the role."
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

variable "schedules" {
  description = "Schedules by name: when, which function, with which JSON input."
  type = map(object({
    description  = string
    expression   = string
    function_arn = string
    input        = string
  }))
}

variable "dead_letter_queue_arn" {
  description = "Queue for invocations that could not be handed to Lambda."
  type        = string
}
