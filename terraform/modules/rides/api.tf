locals {
  # By method and path, which the permission needs apart.
  routes = {
    request-ride = { method = "POST", path = "/ride", function = "request" }
    ride-options = { method = "OPTIONS", path = "/ride", function = "request" }
    draw-unicorn = { method = "GET", path = "/unicorn", function = "fleet" }
    record-ride  = { method = "POST", path = "/record", function = "record-http" }
  }

  ride_url    = "${var.api.url}/ride"
  unicorn_url = "${var.api.url}/unicorn"
  record_url  = "${var.api.url}/record"
}

resource "aws_apigatewayv2_integration" "api" {
  for_each = toset([for route in local.routes : route.function])

  api_id                 = var.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = local.functions[each.key].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  # checkov:skip=CKV_AWS_309:Anybody may ask for a ride or a unicorn, as with the original; POST /record is closed by record_authorization = "AWS_IAM"
  for_each = local.routes

  api_id             = var.api.id
  route_key          = "${each.value.method} ${each.value.path}"
  target             = "integrations/${aws_apigatewayv2_integration.api[each.value.function].id}"
  authorization_type = each.key == "record-ride" ? var.settings.record_authorization : "NONE"
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = each.key
  function_name = local.functions[each.value.function].name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/${var.api.stage_name}/${each.value.method}${each.value.path}"
}
