# Both are made empty: a value here would stand in the state. oracle-rotate-key
# writes the key, `offchain oracle header set` the headers.

resource "aws_secretsmanager_secret" "key" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; only this account's oracle-publish and oracle-rotate-key may read it
  # checkov:skip=CKV2_AWS_57:Rotated by a schedule (key_rotation): a new epoch is announced before it counts, which Secrets Manager's rotation does not know
  name                    = "${var.name}/oracle/key"
  description             = "Signing key of the oracle, written by ${local.prefix}-rotate-key only."
  recovery_window_in_days = var.shared.secret_recovery_days
}

resource "aws_secretsmanager_secret" "source_headers" {
  # checkov:skip=CKV_AWS_149:An AWS-managed key; only this account's oracle-publish may read it
  # checkov:skip=CKV2_AWS_57:The values are issued by the sources' operators
  name                    = "${var.name}/oracle/source-headers"
  description             = "Values of the headers that sources ask for, such as API keys, by secret_key."
  recovery_window_in_days = var.shared.secret_recovery_days
}
