variable "name" {
  description = "Name of the bucket, which no other in the world has."
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
