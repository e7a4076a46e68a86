"""Follow a chain on a fresh stack: how soon events are there, how many a second, and what listening costs.

1. Backlogs of a fleet's transactions are caught up with, with one webhook at a time under
   way and with 16: at the suite's own receiver, and at a subscriber that takes 50 ms.
2. The listener runs as its machine runs it while fleets trade at a steady rate. A block has
   no time; what counts as its time is when the node's stream told this program of it,
   which is when the listener heard of it too.
3. Executions take over from each other, then runs are killed. The lease's item says when
   somebody wrote to it, so between whom nobody did, and for how long.

A month's cost is reckoned from what is counted meanwhile, with the table of `offchain cost`.

--soak is something else: the end-to-end test of that name, with its sizes.
"""

import argparse
import base64
import contextlib
import http.server
import json
import os
import re
import secrets
import signal
import socket
import socketserver
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from bench_oracle import LOG_OVERHEAD, MONTH_MINUTES, PRICES, PRICES_AS_OF, REPORT, iso, note, seconds, spread
from probe import call

ROOT = Path(__file__).resolve().parents[2]
# At the same time; each of them waits for its transaction's block.
FLEETS = 4
# How many webhooks are under way at once, side by side.
CONCURRENCY = (1, 16)
# How long the slow subscriber takes for a webhook.
SLOW_MS = 50
# So long at most nobody listens, also where a run is killed.
TARGET_GAP_MS = 5000
# What is kept up with at the end of a measurement, before it is given up.
SETTLED_WITHIN = 300
# How often the lease is looked at, and how long a listener listens before it is taken over from.
LOOK_EVERY = 0.1
LISTENS = 4
# What the Terraform variable has unless it is set: an execution each so many minutes.
RUN_MINUTES = 10
SOAK = "ledger_soak::whatever_breaks_the_tables_say_in_the_end_what_the_chain_says"
SOAK_SIZES = {"CARS": 100, "NODE_KILLS": 5, "LISTENER_KILLS": 20, "SECONDS": 7200}
SOAK_PROGRESS = re.compile(r"^measured: soak: (\d+) made, (\d+) told of after (\d+) s$")


class Stream(threading.Thread):
    """Notes when the node's stream tells of each transaction: just enough of a WebSocket's client."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.times = {}
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.socket.sendall(
            (
                "GET /api/v1/streams/valid_transactions HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )
        self.file = self.socket.makefile("rb")
        if b" 101 " not in self.file.readline():
            raise OSError(f"port {port}: no stream is there")
        while self.file.readline().strip():
            pass
        self.socket.settimeout(None)

    def run(self):
        for payload in frames(self.file):
            self.times[json.loads(payload)["transaction_id"]] = time.time()


def frames(file):
    """The texts of a server's frames, which are neither masked nor in parts, until they end."""
    while len(head := file.read(2)) == 2:
        length = head[1] & 0x7F
        if length == 126:
            length, = struct.unpack("!H", file.read(2))
        elif length == 127:
            length, = struct.unpack("!Q", file.read(8))
        payload = file.read(length)
        if head[0] & 0x0F == 1:
            yield payload.decode()


class Bridge:
    """What the bench asks the stack."""

    def __init__(self, args):
        self.stack = json.loads(args.stack.read_text())
        self.args, self.endpoint, self.region = args, args.endpoint, self.stack["region"]
        if not self.stack.get("ledger"):
            sys.exit("the stack has no ledger: is terraform/'s variable ledger null?")
        self.ledger = self.stack["ledger"]
        self.node = self.ledger["node"]
        self.lock = f"{self.ledger['environment']['LEDGER_ENVIRONMENT']}-ledger-listener"

    def ask(self, service, target, version, body):
        for _ in range(3):
            answer = call(self.endpoint, self.region, service, target, version, body)
            if answer is not None:
                return answer
            time.sleep(1)
        raise OSError(f"{target} failed: {json.dumps(body)}")

    def pages(self, service, target, version, body, items, token="nextToken"):
        page = {}
        while True:
            page = self.ask(service, target, version, body | ({token: page[token]} if page else {}))
            yield from page[items]
            if not page.get(token):
                return

    def dynamodb(self, action, body):
        return self.ask("dynamodb", f"DynamoDB_20120810.{action}", "1.0", body)

    def events(self):
        """Each event: when it was stored and, where it was, recorded."""
        found, page = {}, {}
        body = {"TableName": self.ledger["events_table"], "ConsistentRead": True}
        while True:
            page = self.dynamodb("Scan", body | ({"ExclusiveStartKey": page["LastEvaluatedKey"]} if page else {}))
            for item in page["Items"]:
                recorded = item.get("recorded_time")
                found[item["transaction_id"]["S"]] = (
                    seconds(item["received_time"]["S"]), recorded and seconds(recorded["S"]),
                )
            if not page.get("LastEvaluatedKey"):
                return found

    def recorded(self, wanted, what):
        """The events, once all of these transactions are recorded, or nothing more happens."""
        before, since = -1, time.monotonic()
        while True:
            events = self.events()
            done = sum(events.get(name, (0, None))[1] is not None for name in wanted)
            if done == len(wanted):
                return events
            if done != before:
                before, since = done, time.monotonic()
            if time.monotonic() - since > SETTLED_WITHIN:
                raise OSError(f"{what}: {done} of {len(wanted)} transactions are recorded, and no more follow")
            note(f"{what}: {done} of {len(wanted)} are recorded …", last=False)
            time.sleep(1)

    def lease(self):
        """(holder, token, time of the last write) of the suite's listener."""
        item = self.dynamodb("GetItem", {
            "TableName": self.ledger["locks_table"], "Key": {"Name": {"S": self.lock}}, "ConsistentRead": True,
        }).get("Item")
        return item and (int(item["LockerID"]["N"]), int(item["Token"]["N"]), int(item["LastWrite"]["N"]) / 1e9)

    def start_execution(self):
        moment = f"{iso(time.time())[:-1]}.{int(time.time() % 1 * 1000):03d}Z"
        return self.ask("states", "AWSStepFunctions.StartExecution", "1.0", {
            "stateMachineArn": self.ledger["state_machine_arn"], "input": json.dumps({"scheduled_time": moment}),
        })["executionArn"]

    def transitions(self, execution):
        """Of an execution: states entered, and tries that were not the first."""
        events = list(self.pages(
            "states", "AWSStepFunctions.GetExecutionHistory", "1.0", {"executionArn": execution, "maxResults": 1000}, "events",
        ))
        entered = sum(event["type"].endswith("StateEntered") for event in events)
        tasks = sum(event["type"] == "TaskStateEntered" for event in events)
        return entered + sum(event["type"] == "TaskScheduled" for event in events) - tasks

    def log(self, role, since):
        body = {"logGroupName": self.ledger["log_groups"][self.ledger["functions"][role]], "startTime": int(since * 1000)}
        return [event["message"] for event in self.pages("logs", "Logs_20140328.FilterLogEvents", "1.1", body, "events")]

    def runs(self, role, since):
        """(milliseconds, MB) of each run that has ended."""
        reports = filter(None, map(REPORT.match, self.log(role, since)))
        return [tuple(map(int, report.groups())) for report in reports]

    def capacity(self, table, metric, since, until):
        answer = self.ask("monitoring", "GraniteServiceVersion20100801.GetMetricStatistics", "1.0", {
            "Namespace": "AWS/DynamoDB", "MetricName": metric, "Statistics": ["Sum"], "Period": 60,
            "Dimensions": [{"Name": "TableName", "Value": table}], "StartTime": since, "EndTime": until,
        })
        return sum(point["Sum"] for point in answer["Datapoints"])

    def units(self, since, until):
        """(write units, read units) of what an event changes: not of the lease."""
        tables = [self.ledger[name] for name in ("events_table", "assets_table", "drivers_table", "deliveries_table")]
        return tuple(
            sum(self.capacity(table, metric, since, until) for table in tables)
            for metric in ("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits")
        )

    def alarms(self):
        return sum(1 for _ in self.pages(
            "monitoring", "GraniteServiceVersion20100801.DescribeAlarms", "1.0",
            {"AlarmNamePrefix": f"{self.stack['name']}-ledger", "MaxRecords": 100}, "MetricAlarms", "NextToken",
        ))

    def listeners(self):
        """The processes that run the listener's function: where the emulator unpacks its code, they are started from."""
        name = self.ledger["functions"]["listen"]
        request = urllib.request.Request(
            f"{self.endpoint}/2015-03-31/functions/{name}/configuration",
            headers={"Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{self.region}/lambda/aws4_request, SignedHeaders=host, Signature=0"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            code = base64.b64decode(json.load(answer)["CodeSha256"]).hex()
        port = urlsplit(self.endpoint).port
        folder = self.args.folder / "tmp" / f"ministack-provided-code-{port}" / code
        done = subprocess.run(["ps", "-A", "-o", "pid=,command="], stdout=subprocess.PIPE, text=True, check=True)
        lines = (line.split(None, 1) for line in done.stdout.splitlines())
        return [int(pid) for pid, command in lines if command.startswith(f"{folder}/")]

    def height(self):
        """The newest height: every height up to it is answered, none above."""
        def reaches(height):
            try:
                with urllib.request.urlopen(f"{self.node}/api/v1/blocks/{height}", timeout=10):
                    return True
            except urllib.error.HTTPError:
                return False

        low, high = 0, 1
        while reaches(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if reaches(middle) else (low, middle)
        return low

    def rush(self, transactions):
        """So many as fast as the node takes them; their summary."""
        done = subprocess.run(
            [self.args.fleet, ROOT / "scripts/lib/fleet.py", "--node", self.node, "--transactions", str(transactions), "--cars", "50"],
            stdout=subprocess.PIPE, text=True, check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def fleets(self):
        """Fleets that trade meanwhile, a transaction each second and a block's time."""
        running = [
            subprocess.Popen(
                [self.args.fleet, ROOT / "scripts/lib/fleet.py", "--node", self.node, "--seconds-between", "0.5", "--cars", "8"],
                stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            )
            for _ in range(FLEETS)
        ]
        try:
            yield
        finally:
            for fleet in running:
                fleet.terminate()
            for fleet in running:
                fleet.wait()

    @contextlib.contextmanager
    def daemon(self, from_height, concurrency, subscribers=None):
        """`offchain ledger listen` with a lease and a cursor of its own."""
        given = self.ledger["environment"]
        listen = json.loads(given["LEDGER_LISTEN"]) | {"from_height": from_height, "concurrency": concurrency}
        environment = {
            **os.environ, **given, "LEDGER_ENVIRONMENT": f"bench-{secrets.token_hex(4)}", "LEDGER_LISTEN": json.dumps(listen),
            "LOG_LEVEL": "warn", **({"LEDGER_SUBSCRIBERS": json.dumps(subscribers)} if subscribers else {}),
        }
        environment.pop("OFFCHAIN_STACK", None)
        with open(self.args.folder / "logs" / "bench-listen.log", "ab") as log:
            process = subprocess.Popen(
                [self.args.command, "--json", "ledger", "listen"], env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


class Sink:
    """A subscriber that takes a while for each webhook, and as many at once as come."""

    def __init__(self):
        times = self.times = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(SLOW_MS / 1000)
                times.setdefault(self.headers["webhook-id"], time.time())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def close(self):
        self.server.shutdown()


def rate(times):
    """How many a second, from the first to the last."""
    times = sorted(times)
    took = times[-1] - times[0]
    return round((len(times) - 1) / took, 1) if took else None


def catch_up(bridge, stream, backlog):
    """How fast backlogs are delivered, by who takes them and how many at once."""
    rows = []
    for concurrency in CONCURRENCY:
        begin, known = bridge.height(), set(stream.times)
        note(f"Making {backlog} transactions …", last=False)
        bridge.rush(backlog)
        wanted = set(stream.times) - known
        with bridge.daemon(begin + 1, concurrency):
            events = bridge.recorded(wanted, f"Catching up, {concurrency} at once")
        received, recorded = zip(*(events[name] for name in wanted))
        rows.append({
            "to": "receiver", "concurrency": concurrency, "events": len(wanted), "a_second": rate(received),
            "recorded_a_second": rate(recorded),
        })
        note(f"Catching up with {len(wanted)}, {concurrency} at once: {rows[-1]['a_second']:g} events a second")
    secret = bridge.ledger["subscribers"][0]["secret_arn"]
    for concurrency in CONCURRENCY:
        sink = Sink()
        subscriber = {"name": "slow", "url": sink.url, "secret_arn": secret, "assets": [], "owners": []}
        with bridge.daemon(begin + 1, concurrency, [subscriber]):
            while len(sink.times) < len(wanted):
                note(f"Catching up, {concurrency} at once: {len(sink.times)} of {len(wanted)} …", last=False)
                time.sleep(0.2)
        sink.close()
        rows.append({"to": f"{SLOW_MS} ms", "concurrency": concurrency, "events": len(wanted), "a_second": rate(sink.times.values())})
        note(f"Catching up with {len(wanted)} at {SLOW_MS} ms each, {concurrency} at once: {rows[-1]['a_second']:g} events a second")
    return rows


class Leases(threading.Thread):
    """Every write to the lease that is seen: (holder, token, time)."""

    def __init__(self, bridge):
        super().__init__(daemon=True)
        self.bridge, self.seen, self.stopped = bridge, [], threading.Event()

    def run(self):
        while not self.stopped.wait(LOOK_EVERY):
            lease = self.bridge.lease()
            if lease and (not self.seen or self.seen[-1] != lease):
                self.seen.append(lease)

    def close(self):
        self.stopped.set()
        self.join()


def gaps(seen):
    """From the last write under a token to the first under the next, in milliseconds, by the new token."""
    return {
        token: round((at - before_at) * 1000)
        for (_, before, before_at), (_, token, at) in zip(seen, seen[1:]) if token != before
    }


def listens(bridge, token, what):
    """Waits until a lease newer than `token` is written to; its token."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lease = bridge.lease()
        if lease and lease[1] > token:
            return lease[1]
        time.sleep(LOOK_EVERY)
    raise OSError(f"{what}: nobody took the lease for a minute")


def latency(stream, events, names):
    """Milliseconds from the block until an event is stored, and recorded."""
    told = [name for name in names if name in events and events[name][1]]
    return {
        "events": len(told),
        "stored": spread([round((events[name][0] - stream.times[name]) * 1000) for name in told]),
        "recorded": spread([round((events[name][1] - stream.times[name]) * 1000) for name in told]),
    }


def overlap(bridge, executions, tokens, seen):
    """How long two runs last side by side: from a successor's first write to its predecessor's end; the median."""
    taken = {}
    for _, token, at in seen:
        taken.setdefault(token, at)
    ends = []
    for execution, token in zip(executions, tokens):
        answer = bridge.ask("states", "AWSStepFunctions.DescribeExecution", "1.0", {"executionArn": execution})
        if answer.get("stopDate"):
            ends.append(round((answer["stopDate"] - taken[token]) * 1000))
    return max(0, statistics.median(ends)) if ends else 0


def follow(bridge, stream, args):
    """(2) and (3): live, then handovers, with what it took."""
    subprocess.run(
        [args.command, "--stack", args.stack, "ledger", "rewind", str(bridge.height()), "--yes"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    began = time.time()
    leases = Leases(bridge)
    executions = [bridge.start_execution()]
    token = listens(bridge, 0, "The first execution")
    leases.start()
    with bridge.fleets():
        time.sleep(LISTENS)
        known, since = set(stream.times), time.time()
        while (left := since + args.seconds - time.time()) > 0:
            note(f"Trading at a steady rate … {left:.0f} s", last=False)
            time.sleep(min(left, 1))
        live, live_until = set(stream.times) - known, time.time()
        note(f"Live: {len(live)} events in {args.seconds} s")
        planned, killed = [], []
        known = set(stream.times)
        for turn in range(args.handovers):
            note(f"Handing over … {turn + 1} of {args.handovers}", last=False)
            executions.append(bridge.start_execution())
            token = listens(bridge, token, "A handover")
            planned.append(token)
            time.sleep(LISTENS)
        handed = set(stream.times) - known
        known = set(stream.times)
        for turn in range(args.handovers):
            note(f"Killing the listener … {turn + 1} of {args.handovers}", last=False)
            for process in bridge.listeners():
                os.kill(process, signal.SIGKILL)
            token = listens(bridge, token, "A killed run")
            killed.append(token)
            time.sleep(LISTENS)
            # A new execution, whose tries are not counted yet.
            bridge.start_execution()
            token = listens(bridge, token, "A handover")
            time.sleep(1)
        murdered = set(stream.times) - known
    names = live | handed | murdered
    events = bridge.recorded(names, "The last events")
    leases.close()
    found = gaps(leases.seen)
    until = time.time()
    renewals = sum(before[1] == after[1] for before, after in zip(leases.seen, leases.seen[1:]))
    runs = {role: bridge.runs(role, began) for role in ("webhook", "record", "listen")}
    recent = [name for name, (received, _) in events.items() if received >= began]
    writes, reads = bridge.units(began - 60, until + 60)
    return {
        "latency": latency(stream, events, live),
        "live_a_second": round(len(live) / (live_until - since), 2),
        "handovers": {
            "planned": {
                "times": len(planned), "gap": spread([found[token] for token in planned]),
                "latency": latency(stream, events, handed),
            },
            "killed": {
                "times": len(killed), "gap": spread([found[token] for token in killed]),
                "latency": latency(stream, events, murdered),
            },
        },
        "missing": len(names - set(events)),
        "counted": {
            "events": len(recent),
            "seconds": round(until - began),
            "lease_writes_a_second": round(renewals / (leases.seen[-1][2] - leases.seen[0][2]), 2),
            "transitions": statistics.median(bridge.transitions(execution) for execution in executions[:-1]),
            "overlap_ms": overlap(bridge, executions, planned, leases.seen),
            "memory_mb": max(memory for _, memory in runs["listen"]),
            "listen_log_bytes_a_second": round(sum(len(line.encode()) + LOG_OVERHEAD for line in bridge.log("listen", began)) / (until - began)),
            "webhook_ms": statistics.mean(billed for billed, _ in runs["webhook"]),
            "record_ms": sum(billed for billed, _ in runs["record"]) / len(recent),
            "record_runs": len(runs["record"]),
            "event_log_bytes": sum(
                len(line.encode()) + LOG_OVERHEAD for role in ("webhook", "record") for line in bridge.log(role, began)
            ) / len(recent),
            "writes": writes / len(recent),
            "reads": reads / len(recent),
            "alarms": bridge.alarms(),
            "secrets": len(bridge.ledger["subscribers"]),
        },
    }


def costs(counted):
    """What a month of listening costs, and a million events: (service, what is counted, dollars)."""
    runs = MONTH_MINUTES / RUN_MINUTES
    run_seconds = RUN_MINUTES * 60 + counted["overlap_ms"] / 1000
    month = MONTH_MINUTES * 60
    gb = counted["memory_mb"] / 1024
    gb_second, request = PRICES["lambda_gb_second_x86_64"], PRICES["lambda_request"]
    listening = [
        ("Lambda", f"1 run of {run_seconds:.1f} s, {counted['memory_mb']} MB", runs * (run_seconds * gb * gb_second + request)),
        ("DynamoDB on demand", f"{counted['lease_writes_a_second'] * RUN_MINUTES * 60:.0f} writes of the lease",
         counted["lease_writes_a_second"] * month * PRICES["dynamodb_write"]),
        ("Step Functions Standard", f"{counted['transitions']:g} transitions", runs * counted["transitions"] * PRICES["standard_transition"]),
        ("CloudWatch Logs", f"{counted['listen_log_bytes_a_second'] * RUN_MINUTES * 60 / 1000:.0f} KB",
         counted["listen_log_bytes_a_second"] * month * PRICES["log_byte"]),
        ("Scheduler", "1 invocation", runs * PRICES["scheduler_invocation"]),
        ("CloudWatch", f"5 metrics, {counted['alarms']} alarms, a dashboard",
         5 * PRICES["metric_month"] + counted["alarms"] * PRICES["alarm_month"] + PRICES["dashboard_month"]),
        ("Secrets Manager", f"{counted['secrets']} secret{'s' * (counted['secrets'] != 1)}", counted["secrets"] * PRICES["secret_month"]),
    ]
    million = 10**6
    batch = counted["record_runs"] / counted["events"]
    event_ms = counted["webhook_ms"] + counted["record_ms"]
    events = [
        ("Lambda", f"2 functions, {event_ms:.0f} ms together, {counted['memory_mb']} MB",
         million * (event_ms / 1000 * gb * gb_second + (1 + batch) * request)),
        ("DynamoDB on demand", f"{counted['writes']:.1f} write units, {counted['reads']:.1f} read units",
         million * (counted["writes"] * PRICES["dynamodb_write"] + counted["reads"] * PRICES["dynamodb_read"])),
        ("SQS", "3 calls", million * 3 * PRICES["sqs_request"]),
        ("HTTP API", "1 call", million * PRICES["http_api_request"]),
        ("CloudWatch Logs", f"{counted['event_log_bytes'] / 1000:.1f} KB", million * counted["event_log_bytes"] * PRICES["log_byte"]),
    ]
    return {"listening": listening, "events": events}


def result(args):
    bridge = Bridge(args)
    stream = Stream(args.stream_port)
    stream.start()
    backlogs = catch_up(bridge, stream, args.backlog)
    live = follow(bridge, stream, args)
    one, many = (row["a_second"] for row in backlogs[:2])
    slow_one, slow_many = (row["a_second"] for row in backlogs[2:])
    worst = max(live["handovers"][kind]["gap"]["max_ms"] for kind in ("planned", "killed"))
    return {
        "seconds": args.seconds,
        "backlogs": backlogs,
        "ratio": {"receiver": round(many / one, 1), "slow": round(slow_many / slow_one, 1)},
        **live,
        "costs": {
            what: [{"service": service, "counted": text, "dollars": round(dollars, 6)} for service, text, dollars in rows]
            for what, rows in costs(live["counted"]).items()
        },
        "prices_as_of": PRICES_AS_OF,
        "targets": {"gap_ms": TARGET_GAP_MS},
        "met": {"gap": worst <= TARGET_GAP_MS, "complete": live["missing"] == 0},
    }


def wide(percentiles):
    if percentiles is None:
        return f"{'-':>8}" * 3
    return "".join(f"{percentiles[name]:>8d}" for name in ("p50_ms", "p99_ms", "max_ms"))


def tables(found):
    mark = {name: "✓" if is_met else "✗" for name, is_met in found["met"].items()}
    live = found["latency"]
    print(f"\n    {'From a block, ms':<34}{'events':>7}{'p50':>8}{'p99':>8}{'max':>8}")
    print(f"    {'until an event is stored':<34}{live['events']:>7}{wide(live['stored'])}")
    print(f"    {'until it is recorded':<34}{live['events']:>7}{wide(live['recorded'])}")
    print(f"    at {found['live_a_second']:g} events a second, for {found['seconds']} s")
    print(f"\n    {'Catching up':<34}{'events':>7}{'stored a s':>12}{'recorded a s':>14}")
    for row in found["backlogs"]:
        to = "the suite" if row["to"] == "receiver" else f"a subscriber of {row['to']}"
        recorded = f"{row['recorded_a_second']:>14.1f}" if "recorded_a_second" in row else f"{'-':>14}"
        print(f"    {to + ', ' + str(row['concurrency']) + ' at once':<34}{row['events']:>7}{row['a_second']:>12.1f}{recorded}")
    print(f"    16 at once are {found['ratio']['receiver']:g} and {found['ratio']['slow']:g} times as many as one after the other")
    print(f"\n    {'Without a write to the lease, ms':<34}{'times':>7}{'p50':>8}{'p99':>8}{'max':>8}")
    for kind, text in (("planned", "the next execution takes over"), ("killed", "a run is killed")):
        gap = found["handovers"][kind]["gap"]
        print(f"    {text:<34}{found['handovers'][kind]['times']:>7}{wide(gap)}")
    print("    An event stored meanwhile, ms after its block:")
    for kind, text in (("planned", "the next execution takes over"), ("killed", "a run is killed")):
        of = found["handovers"][kind]["latency"]
        print(f"    {text:<34}{of['events']:>7}{wide(of['stored'])}")
    print("    -: a subscriber that is killed may end the node's stream, which then tells of no block")
    print(f"    target: nobody listens for at most {TARGET_GAP_MS / 1000:g} s {mark['gap']}; each event is there {mark['complete']}")
    for what, title, unit in (
        ("listening", f"Counted for {RUN_MINUTES} minutes", "A month"), ("events", "Counted for one event", "Million"),
    ):
        rows = found["costs"][what]
        print(f"\n    | Service | {title} | {unit} |\n    |---|---|---|")
        for row in rows:
            print(f"    | {row['service']} | {row['counted']} | ${row['dollars']:.2f} |")
        print(f"    | **Together** | | **${sum(row['dollars'] for row in rows):.2f}** |")
    print(f"    list prices of us-east-1 as of {found['prices_as_of']}, free tiers left out")


def soak(args):
    """Runs the end-to-end test; what it found."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        sizes = {f"OFFCHAIN_SOAK_{name}": str(size) for name, size in SOAK_SIZES.items()}
        environment = {
            **os.environ, **sizes, "OFFCHAIN_SOAK_TRANSACTIONS": str(args.transactions), "OFFCHAIN_SOAK_RESULT": str(file),
        }
        command = [
            "cargo", "test", "--locked", "--workspace", "--test", "e2e", "--", "--nocapture", "--exact", SOAK,
        ]
        note("Building the tests …", last=False)
        lines = []
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for line in process.stdout:
            lines.append(line)
            if progress := SOAK_PROGRESS.match(line.rstrip()):
                made, told, passed = progress.groups()
                note(f"{told} of {args.transactions} transactions told of, {made} made, after {passed} s …", last=not sys.stderr.isatty())
        if process.wait() != 0 or not file.exists():
            sys.exit("".join(lines[-60:]) + "the soak failed: its stack and logs are in .local/bench")
        return json.loads(file.read_text())


def soak_table(found):
    rows = [
        ("transactions, in how many blocks", f"{found['transactions']}, {found['height']}"),
        ("assets, drivers", f"{found['assets']}, {found['drivers']}"),
        ("seconds, of which the fleet traded", f"{found['seconds']:g}, {found['fleet_seconds']:g}"),
        ("the node was killed", f"{found['node_kills']} times"),
        ("the listener was killed", f"{found['listener_kills']} times"),
        ("runs of the listener, by their end", ", ".join(f"{count} {name}" for name, count in found["outcomes"].items())),
        ("webhooks sent", found["webhooks"]),
        ("answered 500 before anything was done", found["refused_before"]),
        ("answered 500 after all was done", found["refused_after"]),
        ("answers of the receiver", ", ".join(f"{count} {status}" for status, count in found["statuses"].items())),
        ("events that were taken twice", found["told_again"]),
        ("dead letters", found["dead_letters"]),
    ]
    print()
    for name, value in rows:
        print(f"    {name:<39}{value}")
    print("    owners, drivers and premiums of all assets are as tests/ledger/naive.py reads them ✓")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soak", action="store_true", help="nothing but the soak")
    parser.add_argument("--transactions", type=int, default=10000, help="of the soak")
    parser.add_argument("--stack", type=Path, help="its stack.json")
    parser.add_argument("--endpoint", help="of the emulator")
    parser.add_argument("--folder", type=Path, help="of the stack")
    parser.add_argument("--stream-port", type=int, help="of the stack's node")
    parser.add_argument("--command", type=Path, help="the offchain command")
    parser.add_argument("--fleet", type=Path, help="the Python that runs fleets")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--backlog", type=int, default=500)
    parser.add_argument("--handovers", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    args = parse_arguments()
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.soak:
        found, show, is_met = soak(args), soak_table, True
    else:
        try:
            found = result(args)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            sys.exit(str(error))
        show, is_met = tables, all(found["met"].values())
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
