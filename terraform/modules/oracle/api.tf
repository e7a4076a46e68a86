locals {
  # By method and path, which the permission needs apart.
  routes = {
    list-feeds     = { method = "GET", path = "/v1/feeds" }
    latest-reading = { method = "GET", path = "/v1/feeds/{feed}/latest" }
    list-readings  = { method = "GET", path = "/v1/feeds/{feed}/readings" }
    list-keys      = { method = "GET", path = "/v1/oracle/keys" }
  }
}

resource "aws_apigatewayv2_integration" "api" {
  api_id                 = var.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = module.api.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  # checkov:skip=CKV_AWS_309:Feeds, readings and public keys are for everyone; none of the routes changes anything
  for_each = local.routes

  api_id    = var.api.id
  route_key = "${each.value.method} ${each.value.path}"
  target    = "integrations/${aws_apigatewayv2_integration.api.id}"

  # The first request finds a key and the feeds.
  depends_on = [aws_lambda_invocation.first_key, aws_dynamodb_table_item.feeds]
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = each.key
  function_name = module.api.name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/${var.api.stage_name}/${each.value.method}${each.value.path}"
}
