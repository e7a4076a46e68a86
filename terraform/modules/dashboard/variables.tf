variable "name" {
  description = "Name of the dashboard."
  type        = string
}

variable "region" {
  description = "The region whose metrics it shows."
  type        = string
}

variable "widgets" {
  description = "What the subsystem shows of its own, first: titles, and metrics as CloudWatch has them in a dashboard's body."
  # A metric is a list of texts that ends in an object, which no type says.
  type    = any
  default = []
}

variable "machine_arn" {
  description = "ARN of the state machine, where there is one."
  type        = string
  default     = null
}

variable "functions" {
  description = "Names of the functions, by what they are called here."
  type        = map(string)
}

variable "queue_names" {
  description = "Names of the queues that functions are fed from."
  type        = list(string)
  default     = []
}

variable "dead_letter_queue_names" {
  description = "Names of the dead letter queues."
  type        = list(string)
}

variable "table_names" {
  description = "Names of the tables."
  type        = list(string)
}

variable "api_id" {
  description = "Id of the HTTP API."
  type        = string
}
