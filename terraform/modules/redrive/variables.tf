variable "name" {
  description = "Prefix of the suite's names."
  type        = string
}

variable "settings" {
  description = "The root variable `redrive`, which describes, defaults and validates it."
  type = object({
    max_redrives = number
    hold_seconds = number
    history_days = number
  })
}

variable "dead_letter_queues" {
  description = "The suite's dead letter queues by name: ARN; every ARN that its letters may be sent to; and the one for a letter that does not say, null where each does."
  type = map(object({
    arn          = string
    destinations = list(string)
    default      = optional(string)
  }))

  validation {
    condition     = alltrue([for name, queue in var.dead_letter_queues : endswith(queue.arn, ":${name}")])
    error_message = "dead_letter_queues: arn must be that of the queue by whose name it stands; got ${jsonencode({ for name, queue in var.dead_letter_queues : name => queue.arn if !endswith(queue.arn, ":${name}") })}."
  }

  validation {
    condition = alltrue([for arn in flatten([for queue in var.dead_letter_queues : queue.destinations]) :
      can(regex("^arn:[^:*]+:(sqs|lambda|states|sns):[^:*]+:[0-9]{12}:[^*]+$", arn))
    ])
    error_message = "dead_letter_queues: destinations must be exact ARNs of queues, functions, state machines and topics; got ${jsonencode(flatten([for queue in var.dead_letter_queues : queue.destinations]))}."
  }

  validation {
    condition     = alltrue([for queue in var.dead_letter_queues : queue.default == null ? true : contains(queue.destinations, queue.default)])
    error_message = "dead_letter_queues: default must be one of the queue's destinations; got ${jsonencode({ for name, queue in var.dead_letter_queues : name => queue.default })}."
  }

  # The function is told in one variable; Lambda allows 4 KB for all of them.
  validation {
    condition     = length(jsonencode({ for name, queue in var.dead_letter_queues : name => queue.default })) <= 3000
    error_message = "dead_letter_queues: names and defaults must fit into 3000 characters of the function's environment; got ${length(jsonencode({ for name, queue in var.dead_letter_queues : name => queue.default }))}."
  }
}

variable "definition_path" {
  description = "The machine dlq-redrive in Amazon States Language, with placeholders."
  type        = string
}

variable "shared" {
  description = "What every subsystem of the suite is given; the root's variables describe it."
  type = object({
    location = object({
      partition  = string
      region     = string
      account_id = string
    })
    artifacts_dir        = string
    artifacts_bucket     = string
    architecture         = string
    log_level            = string
    log_retention_days   = number
    tracing              = bool
    deletion_protection  = bool
    secret_recovery_days = number
    alarm_topic_arn      = string
  })
}
