# One a subscriber, made empty: a value here would stand in the state. `offchain ledger
# secret rotate` writes what webhooks to it are signed with; each secret is between the
# listener and that subscriber alone.
resource "aws_secretsmanager_secret" "webhook" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; only this account's ledger-listen and ledger-deliver, and of the suite's own ledger-webhook, may read it
  # checkov:skip=CKV2_AWS_57:A subscriber must be given the new key before the old one ends: the operator rotates it with `offchain ledger secret rotate`
  for_each = toset(concat([local.own_subscriber], keys(var.settings.subscribers)))

  name                    = "${var.name}/ledger/webhook/${each.key}"
  description             = "Keys that webhooks of the ledger to the subscriber ${each.key} are signed with, written by `offchain ledger secret rotate`."
  recovery_window_in_days = var.shared.secret_recovery_days
}
