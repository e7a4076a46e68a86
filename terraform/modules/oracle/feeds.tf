locals {
  # As offchain_oracle::Feed reads them: every field is there, and no other.
  feeds = merge(
    { for id in(var.settings.demo ? ["demo"] : []) : id => jsonencode({ kind = "demo" }) },
    { for id, feed in var.settings.feeds : id => jsonencode({
      kind     = "http"
      decimals = feed.decimals
      # Most of the sources: no half of them can publish against the other.
      quorum          = coalesce(feed.quorum, floor(length(feed.sources) / 2) + 1)
      max_age_seconds = feed.max_age_seconds
      max_spread_bps  = feed.max_spread_bps
      sources = { for name, source in feed.sources : name => {
        url          = source.url
        pointer      = source.pointer
        time_pointer = source.time_pointer
        scale        = source.scale
        timeout_ms   = source.timeout_ms
        header       = source.header == null ? null : { name = source.header.name, secret_key = source.header.secret_key }
      } }
    }) },
  )
}

resource "aws_dynamodb_table_item" "feeds" {
  for_each = local.feeds

  table_name = aws_dynamodb_table.feeds.name
  hash_key   = aws_dynamodb_table.feeds.hash_key
  item = jsonencode({
    feed       = { S = each.key }
    definition = { S = each.value }
  })
}
