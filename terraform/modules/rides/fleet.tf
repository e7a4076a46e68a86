resource "aws_dynamodb_table_item" "fleet" {
  for_each = var.settings.fleet

  table_name = aws_dynamodb_table.fleet.name
  hash_key   = aws_dynamodb_table.fleet.hash_key
  item = jsonencode(merge(
    { for name, value in each.value.attributes : name => { S = value } },
    {
      Name  = { S = each.key }
      Color = { S = each.value.color }
    },
  ))
}
