# Both are made empty: a value here would stand in the state. vrf-rotate-key
# writes the key, `offchain vrf token create` the tokens' hashes.

resource "aws_secretsmanager_secret" "key" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; only this account's vrf-fulfil and vrf-rotate-key may read it
  # checkov:skip=CKV2_AWS_57:Rotated by a schedule (key_rotation): a new epoch is announced before it counts, which Secrets Manager's rotation does not know
  name                    = "${var.name}/vrf/key"
  description             = "Signing key of the VRF, written by ${local.prefix}-rotate-key only."
  recovery_window_in_days = var.shared.secret_recovery_days
}

resource "aws_secretsmanager_secret" "api_tokens" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; the value is hashes, not tokens
  # checkov:skip=CKV2_AWS_57:Tokens are issued and withdrawn one by one
  name                    = "${var.name}/vrf/api-tokens"
  description             = "SHA-256 of the bearer tokens of the VRF's HTTP routes."
  recovery_window_in_days = var.shared.secret_recovery_days
}
