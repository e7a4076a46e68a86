# What the functions are told of the subscribers and of listening, as JSON.

locals {
  # The suite's own receiver, ledger-webhook; a name that no other may have.
  own_subscriber = "ledger"

  # The own one first.
  subscribers = concat(
    [{
      name       = local.own_subscriber
      url        = "${var.api.url}${local.routes.webhook.path}"
      secret_arn = aws_secretsmanager_secret.webhook[local.own_subscriber].arn
      assets     = var.settings.assets
      owners     = var.settings.owners
    }],
    [for name, subscriber in var.settings.subscribers : {
      name       = name
      url        = subscriber.url
      secret_arn = aws_secretsmanager_secret.webhook[name].arn
      assets     = subscriber.assets
      owners     = subscriber.owners
    }],
  )

  subscriber_secret_arns = local.subscribers[*].secret_arn

  listen = {
    from_height   = var.settings.from_height
    poll_seconds  = var.settings.poll_seconds
    stall_seconds = var.settings.stall_seconds
    lease_seconds = var.settings.lease_seconds
    # Past the next one's start: it takes over from a run that still listens, and
    # nothing waits in between.
    run_seconds     = 60 * var.settings.run_minutes + 30
    concurrency     = var.settings.concurrency
    max_kept        = var.settings.max_kept
    retry_schedule  = var.settings.retry_schedule
    timeout_seconds = var.settings.timeout_seconds
  }
}
