# The suite on a laptop: everything can be thrown away, and at once.
deletion_protection  = false
secret_recovery_days = 0
log_retention_days   = 1

# A source may be a server on the same laptop.
# A reading every two seconds: a month of them would weigh on the emulator.
oracle = { allow_private_sources = true, retention_days = 1 }

# The example, whose routes are public: this one is reached from the laptop alone.
rides = {}
