locals {
  # By method and path, which the permission needs apart.
  routes = {
    webhook    = { method = "POST", path = "/v1/ledger/events", function = "webhook" }
    read-asset = { method = "GET", path = "/v1/ledger/assets/{id}", function = "api" }
  }
}

resource "aws_apigatewayv2_integration" "api" {
  for_each = toset([for route in local.routes : route.function])

  api_id                 = var.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = local.functions[each.key].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  # checkov:skip=CKV_AWS_309:A webhook is authorized by its signature, which ledger-webhook checks; an asset's history is the ledger's, which is public to all who have it
  for_each = local.routes

  api_id    = var.api.id
  route_key = "${each.value.method} ${each.value.path}"
  target    = "integrations/${aws_apigatewayv2_integration.api[each.value.function].id}"
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = each.key
  function_name = local.functions[each.value.function].name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/${var.api.stage_name}/${each.value.method}${each.value.path}"
}
