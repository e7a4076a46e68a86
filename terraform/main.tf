# The suite: what its subsystems share, and the subsystems.
#
# The same configuration deploys to AWS and to a local emulator: AWS_ENDPOINT_URL
# points the provider at the latter, nothing here does.

provider "aws" {
  region = var.region
  # An emulator has one host name for all buckets; AWS takes either.
  s3_use_path_style = true

  default_tags {
    tags = merge({ application = var.name, managed-by = "terraform" }, var.tags)
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  location = {
    partition  = data.aws_partition.this.partition
    region     = var.region
    account_id = data.aws_caller_identity.this.account_id
  }

  # What every subsystem is given.
  shared = {
    location             = local.location
    artifacts_dir        = var.artifacts_dir
    artifacts_bucket     = module.artifacts.bucket
    architecture         = var.architecture
    log_level            = var.log_level
    log_retention_days   = var.log_retention_days
    tracing              = var.tracing
    deletion_protection  = var.deletion_protection
    secret_recovery_days = var.secret_recovery_days
    alarm_topic_arn      = module.alarms.topic_arn
  }

  # A claim is kept waiting for its block on purpose.
  api_alarms = {
    client_errors = var.api_alarms.client_errors
    latency_ms    = coalesce(var.api_alarms.latency_ms, 3000 + 1000 * try(var.faucet.wait_seconds, 0))
  }
}

module "artifacts" {
  source = "./modules/artifacts"

  name     = "${var.name}-artifacts-${local.location.account_id}-${var.region}"
  location = local.location
}

module "alarms" {
  source = "./modules/alarms"

  name       = "${var.name}-alarms"
  account_id = local.location.account_id
  email      = var.alarm_email
}

module "http_api" {
  source = "./modules/http_api"

  name               = var.name
  throttling         = var.api_throttling
  alarms             = local.api_alarms
  log_retention_days = var.log_retention_days
  alarm_topic_arn    = module.alarms.topic_arn
}

module "vrf" {
  source = "./modules/vrf"
  count  = var.vrf == null ? 0 : 1

  name            = var.name
  settings        = var.vrf
  definition_path = "${path.module}/../statemachines/vrf-fulfilment.asl.json"
  api             = module.http_api
  shared          = local.shared
}

module "oracle" {
  source = "./modules/oracle"
  count  = var.oracle == null ? 0 : 1

  name            = var.name
  settings        = var.oracle
  definition_path = "${path.module}/../statemachines/oracle-minute.asl.json"
  api             = module.http_api
  shared          = local.shared
}

module "rides" {
  source = "./modules/rides"
  count  = var.rides == null ? 0 : 1

  name     = var.name
  settings = var.rides
  api      = module.http_api
  shared   = local.shared
}

module "faucet" {
  source = "./modules/faucet"
  count  = var.faucet == null ? 0 : 1

  name            = var.name
  settings        = var.faucet
  nodes           = length(var.faucet_nodes) > 0 ? var.faucet_nodes : var.faucet.chain.nodes
  definition_path = "${path.module}/../statemachines/faucet-payout.asl.json"
  api             = module.http_api
  shared          = local.shared
}

module "ledger" {
  source = "./modules/ledger"
  count  = var.ledger == null ? 0 : 1

  name            = var.name
  settings        = var.ledger
  node            = try(coalesce(var.ledger_node, var.ledger.node), null)
  definition_path = "${path.module}/../statemachines/ledger-listener.asl.json"
  api             = module.http_api
  shared          = local.shared
}

# For the dead letter queues of all of them.
module "redrive" {
  source = "./modules/redrive"

  name            = var.name
  settings        = var.redrive
  definition_path = "${path.module}/../statemachines/dlq-redrive.asl.json"
  shared          = local.shared
  dead_letter_queues = merge(concat(
    [for vrf in module.vrf : vrf.dead_letter_queues],
    [for oracle in module.oracle : oracle.dead_letter_queues],
    [for rides in module.rides : rides.dead_letter_queues],
    [for faucet in module.faucet : faucet.dead_letter_queues],
    [for ledger in module.ledger : ledger.dead_letter_queues],
  )...)
}
