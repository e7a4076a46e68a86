variable "name" {
  description = "Name of the topic."
  type        = string
}

variable "account_id" {
  description = "The account whose alarms may publish."
  type        = string
}

variable "email" {
  description = "Address that receives the alarms once it has confirmed; null for none."
  type        = string
  default     = null
}
