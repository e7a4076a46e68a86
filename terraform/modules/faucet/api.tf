locals {
  # By method and path, which the permission needs apart. The OPTIONS are the
  # preflight requests of browsers: the list of origins is the function's.
  routes = {
    root              = { method = "GET", path = "/" }
    page              = { method = "GET", path = "/faucet" }
    page-file         = { method = "GET", path = "/faucet/{file}" }
    claim             = { method = "POST", path = "/v1/claim" }
    claim-options     = { method = "OPTIONS", path = "/v1/claim" }
    read-claim        = { method = "GET", path = "/v1/claims/{id}" }
    read-options      = { method = "OPTIONS", path = "/v1/claims/{id}" }
    status            = { method = "GET", path = "/v1/status" }
    status-options    = { method = "OPTIONS", path = "/v1/status" }
    challenge         = { method = "GET", path = "/v1/challenge" }
    challenge-options = { method = "OPTIONS", path = "/v1/challenge" }
  }
}

resource "aws_apigatewayv2_integration" "api" {
  api_id                 = var.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = module.api.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "this" {
  # checkov:skip=CKV_AWS_309:A faucet is for everyone; faucet-api bounds what anyone gets, by captcha or proof of work, throttle, cooldowns and a budget
  for_each = local.routes

  api_id    = var.api.id
  route_key = "${each.value.method} ${each.value.path}"
  target    = "integrations/${aws_apigatewayv2_integration.api.id}"
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = each.key
  function_name = module.api.name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api.execution_arn}/${var.api.stage_name}/${each.value.method}${each.value.path}"
}
