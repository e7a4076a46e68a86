# The suite on a laptop: everything can be thrown away, and at once.
deletion_protection  = false
secret_recovery_days = 0
log_retention_days   = 1

# A source may be a server on the same laptop.
oracle = { allow_private_sources = true }
