locals {
  # By method and path, which the permission needs apart.
  routes = {
    create-request = { method = "POST", path = "/v1/vrf/requests" }
    read-request   = { method = "GET", path = "/v1/vrf/requests/{id}" }
    list-keys      = { method = "GET", path = "/v1/vrf/keys" }
  }
}

resource "aws_apigatewayv2_integration" "api" {
  api_id                 = var.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = module.api.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  # checkov:skip=CKV_AWS_309:vrf-api checks the bearer token itself, in constant time against hashes; the keys' route is public on purpose
  for_each = local.routes

  api_id    = var.api.id
  route_key = "${each.value.method} ${each.value.path}"
  target    = "integrations/${aws_apigatewayv2_integration.api.id}"

  # The first request finds a key.
  depends_on = [aws_lambda_invocation.first_key]
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = each.key
  function_name = module.api.name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/${var.api.stage_name}/${each.value.method}${each.value.path}"
}
