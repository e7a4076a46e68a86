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
  description = "Schedules by name: when, which function or state machine, with which JSON input."
  type = map(object({
    description       = string
    expression        = string
    function_arn      = optional(string)
    state_machine_arn = optional(string)
    input             = string
  }))

  validation {
    condition     = alltrue([for schedule in var.schedules : (schedule.function_arn == null) != (schedule.state_machine_arn == null)])
    error_message = "Each schedule must have either a function_arn or a state_machine_arn; got both or neither for: ${join(", ", [for name, schedule in var.schedules : name if(schedule.function_arn == null) == (schedule.state_machine_arn == null)])}."
  }
}

variable "dead_letter_queue_arn" {
  description = "Queue for events that could not be handed to their target."
  type        = string
}
