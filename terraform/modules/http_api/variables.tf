variable "name" {
  description = "Name of the API and of its access log group."
  type        = string
}

variable "throttling" {
  description = "Requests a second, and in one burst, over all routes: a bound on what a flood can cost."
  type = object({
    rate  = number
    burst = number
  })
  default = { rate = 100, burst = 200 }

  validation {
    condition     = var.throttling.rate >= 1 && var.throttling.burst >= var.throttling.rate
    error_message = "throttling must be rate >= 1 and burst >= rate; got rate ${var.throttling.rate}, burst ${var.throttling.burst}."
  }
}

variable "alarms" {
  description = "Where the alarms ring: answers with 4xx in 5 minutes, and milliseconds that one request in a hundred takes."
  type = object({
    client_errors = number
    latency_ms    = number
  })
}

variable "log_retention_days" {
  description = "Days the access log keeps an event."
  type        = number
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  type        = string
}
