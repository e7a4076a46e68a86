"""Measure each Lambda's release binary against its targets: start, memory, size.

A bootstrap is started as Lambda starts it, against a Runtime API of our own. It is
ready when it asks for its first event. One event follows, whose AWS calls meet a closed
port, so that memory after an invocation includes the clients that it builds.
"""

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from runtime_api import RuntimeApi

TARGETS = {"ready_ms": 12.0, "resident_mb": 12.0, "zip_mb": 3.5}
REQUEST = "0192f0c1-2345-4789-8abc-def012345678"
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
QUEUE = "http://127.0.0.1:9/123456789012/bench"

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench",
    "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    "LOG_LEVEL": "info",
    # Every function reads its own of these.
    "VRF_TABLE": "bench-vrf",
    "VRF_KEYS_TABLE": "bench-vrf-keys",
    "VRF_QUEUE_URL": QUEUE,
    "VRF_REQUESTS_DLQ_URL": QUEUE,
    "VRF_EXECUTIONS_DLQ_URL": QUEUE,
    "VRF_MAX_RECEIVES": "5",
    "VRF_FULFIL_WINDOW_SECONDS": "900",
    "VRF_HEIGHT_WINDOW_SECONDS": "21600",
    "VRF_MAX_DELAY_SECONDS": "604800",
    "VRF_RETENTION_DAYS": "30",
    "VRF_API_TOKENS_SECRET_ARN": ARN.format("secretsmanager", "secret:bench-tokens"),
    "VRF_KEY_SECRET_ARN": ARN.format("secretsmanager", "secret:bench-key"),
    "VRF_STATE_MACHINE_ARN": ARN.format("states", "stateMachine:bench"),
    "VRF_CHAIN_KIND": "none",
    "VRF_SIMULATED_FAILURE_RATE": "0",
    "VRF_SUITE": "ECVRF-EDWARDS25519-SHA512-TAI",
    "VRF_KEY_ACTIVATION_DELAY_SECONDS": "60",
    "ORACLE_SUITE": "bench",
    "ORACLE_READINGS_TABLE": "bench-oracle",
    "ORACLE_FEEDS_TABLE": "bench-oracle-feeds",
    "ORACLE_KEYS_TABLE": "bench-oracle-keys",
    "ORACLE_KEY_SECRET_ARN": ARN.format("secretsmanager", "secret:bench-oracle-key"),
    "ORACLE_HEADERS_SECRET_ARN": ARN.format("secretsmanager", "secret:bench-oracle-headers"),
    "ORACLE_INTERVAL_SECONDS": "2",
    "ORACLE_HEAD_START_SECONDS": "1",
    "ORACLE_RETENTION_DAYS": "30",
    "ORACLE_SECRET_CACHE_SECONDS": "60",
    "ORACLE_ALLOW_PRIVATE_SOURCES": "false",
    "ORACLE_KEY_ACTIVATION_DELAY_SECONDS": "60",
    "FAUCET_NETWORK": "bench",
    "FAUCET_ENVIRONMENT": "bench",
    "FAUCET_TABLE": "bench-faucet",
    "FAUCET_LIMITS_TABLE": "bench-faucet-limits",
    "FAUCET_LOCKS_TABLE": "bench-faucet-locks",
    "FAUCET_PAYOUTS_TABLE": "bench-faucet-payouts",
    "FAUCET_CHAIN": json.dumps({
        "kind": "evm", "nodes": [{"url": "http://127.0.0.1:9"}], "chain_id": 31337, "max_fee_wei": "100000000000",
        "priority_fee_wei": "1000000000",
    }),
    "FAUCET_POLICY": json.dumps({
        "amount": "1000", "symbol": "ETH", "decimals": 18, "origins": [], "trusted_proxies": 0,
        "throttle": {"per_minute": 10, "burst": 10}, "address_cooldown_seconds": 86400,
        "source": {"claims": 5, "window_seconds": 86400}, "daily_budget": "1000000", "claim_deadline_seconds": 3600,
        "wait_seconds": 15, "captcha": None, "proof_of_work": {"bits": 18, "valid_seconds": 300}, "retention_days": 30,
        "send": True, "limits": True,
    }),
    "FAUCET_PAYOUT": json.dumps({
        "batch": 50, "in_flight": 4, "confirmations": 1, "attempts": 3, "bump_seconds": 60, "lease_seconds": 60,
        "settle_deadline_seconds": 3600, "low_balance": "0", "amount": "1000", "retention_days": 30, "decimals": 18,
    }),
    "FAUCET_QUEUE_URL": QUEUE,
    "FAUCET_QUEUE_DLQ_URL": QUEUE,
    "FAUCET_MAX_RECEIVES": "5",
    "FAUCET_KEY_SECRET_ARN": ARN.format("secretsmanager", "secret:bench-faucet-key"),
    "FAUCET_INTAKE_SECRET_ARN": ARN.format("secretsmanager", "secret:bench-faucet-intake"),
    "FAUCET_STATE_MACHINE_ARN": ARN.format("states", "stateMachine:bench-faucet"),
    "RIDES_FLEET_FUNCTION": "bench-rides-fleet",
    "RIDES_PUBLISH": "sns",
    "RIDES_TOPIC_ARN": ARN.format("sns", "bench-rides"),
    "RIDES_RECORD_FUNCTION": "bench-rides-record-http",
    "RIDES_UNSENT_QUEUE_URL": QUEUE,
    "RIDES_FLEET_TABLE": "bench-rides-fleet",
    "RIDES_TABLE": "bench-rides",
    "DLQ_SUITE": "bench",
    "DLQ_TABLE": "bench-dead-letters",
    "DLQ_DESTINATIONS": json.dumps({"bench-dlq": ARN.format("lambda", "function:bench-rides-record-sns")}),
    "DLQ_MAX_REDRIVES": "3",
    "DLQ_HOLD_SECONDS": "120",
    "DLQ_HISTORY_DAYS": "30",
}
PLACE = {"Latitude": 47.6174755835663, "Longitude": -122.28837066650185}
RIDE = {
    "RideId": REQUEST, "Unicorn": {"Name": "Shadowfax", "Color": "White"},
    "RequestTime": "2026-01-01 00:00:00.000000", "PickupLocation": PLACE,
}


def http(path, method="GET", body=None):
    """A request of the HTTP API for a route without parameters."""
    return {
        "version": "2.0", "routeKey": f"{method} {path}", "rawPath": path, "rawQueryString": "",
        "headers": {}, "isBase64Encoded": False, **({"body": json.dumps(body)} if body else {}),
        "requestContext": {
            "accountId": "123456789012", "apiId": "bench", "domainName": "bench", "requestId": "bench",
            "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1767225600000,
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "bench",
            },
        },
    }


def message(body):
    """A message of a queue."""
    return {"Records": [{
        "messageId": REQUEST, "receiptHandle": "bench", "body": json.dumps(body), "attributes": {},
        "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
        "eventSourceARN": ARN.format("sqs", "bench"),
    }]}


def slot():
    """The slot that comes next: oracle-publish refuses any other."""
    return datetime.fromtimestamp(time.time() // 2 * 2 + 2, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


EVENTS = {
    "vrf-request": {
        "queue_delay_seconds": {"min": 0, "max": 120}, "target_blocks": {"min": 0, "max": 10},
        "block_seconds": 30, "bounds": {"min": 0, "max": 999},
    },
    "vrf-api": http("/v1/vrf/keys"),
    "vrf-start": message({"request_id": REQUEST}),
    "vrf-height": {"request_id": REQUEST, "target_height": 1},
    "vrf-fulfil": {"request_id": REQUEST},
    "vrf-expire": {"sweep": True},
    "vrf-rotate-key": {"action": "reconcile"},
    "oracle-publish": lambda: {"slot": slot()},
    "oracle-missed": {"sweep": True},
    "oracle-api": http("/v1/feeds"),
    "oracle-rotate-key": {"action": "reconcile"},
    "faucet-api": http("/v1/status"),
    "faucet-pay": message({"claim_id": REQUEST}),
    "faucet-confirm": {"account": "0x00000000000000000000000000000000c0FFEE00", "sequence": 7},
    "faucet-sweep": {"action": "sweep"},
    "rides-request": http("/ride", "POST", {"PickupLocation": PLACE}),
    "rides-fleet": http("/unicorn"),
    "rides-record-http": http("/record", "POST", RIDE),
    "rides-record-sns": {"Records": [{
        "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": ARN.format("sns", "bench-rides:bench"),
        "Sns": {
            "Type": "Notification", "MessageId": REQUEST, "TopicArn": ARN.format("sns", "bench-rides"),
            "Message": json.dumps(RIDE), "Timestamp": "2026-01-01T00:00:00.000Z", "SignatureVersion": "1",
            "Signature": "bench", "SigningCertUrl": "bench", "UnsubscribeUrl": "bench", "MessageAttributes": {},
        },
    }]},
    "dlq-redrive": {"action": "plan", "queue": "bench-dlq"},
}


def memory(pid):
    """(resident now, resident at most), in MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


def start(binary, api):
    environment = {**ENVIRONMENT, "AWS_LAMBDA_RUNTIME_API": api.address, "PATH": os.defpath}
    began = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while True:
        try:
            return process, (api.asked.get(timeout=0.5) - began) * 1000
        except queue.Empty:
            if process.poll() is not None:
                errors = process.stderr.read().decode(errors="replace").strip().splitlines()
                sys.exit(f"{binary}: ended with {process.returncode} before it was ready: {errors[-1] if errors else 'no output'}")
            if time.perf_counter() - began > 10:
                process.kill()
                sys.exit(f"{binary}: did not ask for an event within 10 s")


def measure(function, binary, zipped, runs):
    times = []
    for run in range(runs):
        api = RuntimeApi()
        process, ready = start(binary, api)
        times.append(ready)
        if run == runs - 1:
            idle = memory(process.pid)
            event = EVENTS.get(function, {})
            api.events.put(event() if callable(event) else event)
            try:
                answer = api.answers.get(timeout=60)[0]
                api.asked.get(timeout=10)
                after = memory(process.pid)
            except queue.Empty:
                answer, after = "none", memory(process.pid)
        process.kill()
        process.wait()
        process.stderr.close()
        api.shutdown()
        api.server_close()
    return {
        "function": function,
        "ready_ms": {"min": round(min(times), 2), "median": round(statistics.median(times), 2), "runs": runs},
        "resident_mb": {"ready": round(idle[0], 2), "invoked": round(after[0], 2), "peak": round(after[1], 2)},
        "answer": answer,
        "zip_mb": round(zipped.stat().st_size / 1e6, 3),
        "binary_mb": round(binary.stat().st_size / 1e6, 3),
    }


def verdict(result):
    return {
        "ready_ms": result["ready_ms"]["median"] <= TARGETS["ready_ms"],
        "resident_mb": result["resident_mb"]["invoked"] <= TARGETS["resident_mb"],
        "zip_mb": result["zip_mb"] <= TARGETS["zip_mb"],
    }


def table(results):
    print(f"    {'':<17} {'ready, ms':>18}    {'resident, MB':>26}    {'size, MB':>16}")
    print(f"    {'':<17} {'min':>8} {'median':>9}    {'ready':>6} {'invoked':>9} {'peak':>7}     {'binary':>7} {'zip':>8}")
    for result in results:
        mark = {name: "✓" if met else "✗" for name, met in result["met"].items()}
        ready, resident = result["ready_ms"], result["resident_mb"]
        print(
            f"    {result['function']:<17} {ready['min']:>8.1f} {ready['median']:>9.1f} {mark['ready_ms']}"
            f"  {resident['ready']:>6.1f} {resident['invoked']:>9.1f} {mark['resident_mb']} {resident['peak']:>6.1f}"
            f"     {result['binary_mb']:>7.2f} {result['zip_mb']:>8.2f} {mark['zip_mb']}"
        )
    print(f"    targets: ready ≤ {TARGETS['ready_ms']:g} ms (median), resident ≤ {TARGETS['resident_mb']:g} MB (invoked), zip ≤ {TARGETS['zip_mb']:g} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="<dir>/<function>/bootstrap and bootstrap.zip")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("functions", nargs="+")
    args = parser.parse_args()
    results = []
    for function in args.functions:
        folder = args.dir / function
        result = measure(function, folder / "bootstrap", folder / "bootstrap.zip", args.runs)
        results.append({**result, "met": verdict(result)})
    if args.json:
        print(json.dumps({"targets": TARGETS, "functions": results}, indent=2))
    else:
        table(results)
    sys.exit(0 if all(all(result["met"].values()) for result in results) else 1)


if __name__ == "__main__":
    main()
