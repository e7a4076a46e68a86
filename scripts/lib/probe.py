"""Ask an emulator whether it holds what a stack file names. Exit 0: it does; 1: it does not.

    probe.py resources STACK ENDPOINT
    probe.py token STACK ENDPOINT < TOKEN

A few plain requests: no SDK to install, and quicker than `terraform plan`.
"""

import hashlib
import json
import sys
import urllib.error
import urllib.request


def call(endpoint, region, service, target, version, body):
    """The answer to one JSON request as the emulator's root, or None where it refuses."""
    request = urllib.request.Request(
        endpoint,
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": f"application/x-amz-json-{version}",
            "X-Amz-Target": target,
            "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return None


def holds_resources(stack, endpoint):
    region = stack["region"]
    for queue in stack["queues"].values():
        yield call(endpoint, region, "sqs", "AmazonSQS.GetQueueAttributes", "1.0", {"QueueUrl": queue["url"]})
    for service in filter(None, map(stack.get, ("vrf", "oracle", "rides", "faucet", "ledger", "redrive"))):
        named = {kind: [value for name, value in service.items() if name.endswith(kind)] for kind in ("table", "secret_arn")}
        for table in named["table"]:
            yield call(endpoint, region, "dynamodb", "DynamoDB_20120810.DescribeTable", "1.0", {"TableName": table})
        for secret in named["secret_arn"]:
            yield call(endpoint, region, "secretsmanager", "secretsmanager.DescribeSecret", "1.1", {"SecretId": secret})
        if machine := service.get("state_machine_arn"):
            yield call(
                endpoint, region, "states", "AWSStepFunctions.DescribeStateMachine", "1.0", {"stateMachineArn": machine},
            )


def knows_token(stack, endpoint, token):
    secret = call(
        endpoint, stack["region"], "secretsmanager", "secretsmanager.GetSecretValue", "1.1",
        {"SecretId": stack["vrf"]["api_tokens_secret_arn"]},
    )
    known = json.loads((secret or {}).get("SecretString") or "{}").get("tokens", [])
    return hashlib.sha256(token.encode()).hexdigest() in [entry.get("sha256") for entry in known]


def main(mode, stack_file, endpoint):
    with open(stack_file) as file:
        stack = json.load(file)
    if mode == "token":
        return knows_token(stack, endpoint, sys.stdin.read().strip())
    return all(answer is not None for answer in holds_resources(stack, endpoint))


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
