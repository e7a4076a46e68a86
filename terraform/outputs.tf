output "stack" {
  description = "What scripts and the command line need to know of the deployed suite."
  value = {
    name            = var.name
    region          = var.region
    api_url         = module.http_api.url
    alarm_topic_arn = module.alarms.topic_arn
    queues = merge(concat(
      [for vrf in module.vrf : vrf.queues],
      [for oracle in module.oracle : oracle.queues],
      [for rides in module.rides : rides.queues],
      [for faucet in module.faucet : faucet.queues],
      [for ledger in module.ledger : ledger.queues],
    )...)
    vrf     = one([for vrf in module.vrf : vrf.stack])
    oracle  = one([for oracle in module.oracle : oracle.stack])
    rides   = one([for rides in module.rides : rides.stack])
    faucet  = one([for faucet in module.faucet : faucet.stack])
    ledger  = one([for ledger in module.ledger : ledger.stack])
    redrive = module.redrive.stack
  }
}
