# The stack of the end-to-end tests: as terraform/local.tfvars says, but quick.
vrf = {
  poll_interval_seconds        = 1
  height_window_seconds        = 120
  key_activation_delay_seconds = 8
  back_off                     = { base_seconds = 1, max_seconds = 2 }
  schedule = {
    queue_delay_seconds = { min = 0, max = 2 }
    target_blocks       = { min = 0, max = 3 }
    block_seconds       = 1
  }
}
oracle = {
  allow_private_sources        = true
  secret_cache_seconds         = 2
  key_activation_delay_seconds = 8
}
rides   = {}
redrive = { hold_seconds = 5 }
