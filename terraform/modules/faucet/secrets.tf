# Both are made empty: a value here would stand in the state. `offchain faucet key`
# writes the key, `offchain faucet captcha` the captcha's secret.

resource "aws_secretsmanager_secret" "key" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; only this account's faucet-pay may read it
  # checkov:skip=CKV2_AWS_57:The key is the account: another key is another address, without its funds
  name                    = "${var.name}/faucet/key"
  description             = "Private key of the account that the faucet pays from, written by `offchain faucet key`."
  recovery_window_in_days = var.shared.secret_recovery_days
}

resource "aws_secretsmanager_secret" "intake" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; only this account's faucet-api may read it
  # checkov:skip=CKV2_AWS_57:The captcha's provider issues its secret; a new key for challenges would refuse those being solved
  name                    = "${var.name}/faucet/intake"
  description             = "What faucet-api checks responses with: the key of its challenges, and the captcha's secret."
  recovery_window_in_days = var.shared.secret_recovery_days
}
