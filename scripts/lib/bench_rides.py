"""Replay the original's load on a fresh stack: 10 rides a second for 180 s, by artillery.

Each ride that was answered must be recorded, and none twice. Meanwhile the fleet is
asked directly and through the gateway in turns. Then, where it is asked for, the
highest rate that is held without an error is looked for.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench_oracle import note, spread
from probe import call

# The original's load, of which it answered 1528 with 201 and 272 with 504.
ORIGINAL = {"rate": 10, "seconds": 180}
# A stage of the search, and what it takes to be held.
STAGE_SECONDS = 10
HELD_P99_MS = 1000
# How close the search comes: a rate that is held, to one a tenth higher that is not.
CLOSE = 1.1
HIGHEST_RATE = 5000
# How long the records may take after the last reply; how long the dead letters and their alarm.
RECORDED_WITHIN = 120
LETTERS_WITHIN = 60
PAIRS_EVERY = 0.5
# After a stage that was too much, its leftovers must not count against the next one:
# so many calls in a row that are quick, and how long that may take to come.
QUICK_CALLS = 20
QUICK_MS = 100
QUIET_WITHIN = 300
NO_TABLE = "no-such-table"
PROCESSOR = Path(__file__).with_name("rides_load.js")


class Rides:
    """What the bench asks the stack."""

    def __init__(self, stack, endpoint):
        self.region, self.endpoint = stack["region"], endpoint
        self.suite, self.settings = stack["name"], stack["rides"]
        self.api, self.queues = urlsplit(stack["api_url"]), stack["queues"]

    def ask(self, service, target, version, body):
        for _ in range(3):
            answer = call(self.endpoint, self.region, service, target, version, body)
            if answer is not None:
                return answer
            time.sleep(1)
        sys.exit(f"{target.split('.')[-1]} failed: {json.dumps(body)}")

    def records(self):
        """The ids of all rides that are recorded."""
        body, page = {"TableName": self.settings["table"], "ProjectionExpression": "RideId"}, {}
        ids = []
        while True:
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if page else {}
            page = self.ask("dynamodb", "DynamoDB_20120810.Scan", "1.0", body | start)
            ids += [item["RideId"]["S"] for item in page["Items"]]
            if not page.get("LastEvaluatedKey"):
                return ids

    def letters(self):
        """How many messages are in the queue of what the recorder did not take."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        body = {"QueueUrl": self.queues[self.letters_queue()]["url"], "AttributeNames": names}
        answer = self.ask("sqs", "AmazonSQS.GetQueueAttributes", "1.0", body)
        return sum(int(answer["Attributes"][name]) for name in names)

    def letters_queue(self):
        return f"{self.suite}-rides-record-dlq"

    def ringing(self):
        """Whether the alarm on that queue is in ALARM."""
        answer = self.ask(
            "monitoring", "GraniteServiceVersion20100801.DescribeAlarms", "1.0",
            {"AlarmNames": [f"{self.letters_queue()}-depth"], "MaxRecords": 100},
        )
        return [alarm["StateValue"] for alarm in answer["MetricAlarms"]] == ["ALARM"]

    def function(self, role):
        return self.settings["functions"][role]

    def connection(self):
        endpoint = urlsplit(self.endpoint)
        return http.client.HTTPConnection(endpoint.hostname, endpoint.port, timeout=30)

    def signed(self, service):
        return {
            "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{self.region}/{service}/aws4_request, "
            "SignedHeaders=host, Signature=0",
            "Content-Type": "application/json",
        }

    def lambda_api(self, connection, method, path, body=None):
        """(status, JSON, whether a function failed) of one request to Lambda's API."""
        connection.request(method, path, body=body and json.dumps(body), headers=self.signed("lambda"))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null"), answer.getheader("X-Amz-Function-Error")

    def fleet_directly(self, connection):
        path = f"/2015-03-31/functions/{self.function('fleet')}/invocations"
        status, unicorn, failed = self.lambda_api(connection, "POST", path, {"bench": True})
        return status == 200 and not failed and "Name" in unicorn

    def fleet_through_gateway(self, connection):
        # The name of the API resolves nowhere; the emulator looks at the header.
        connection.request("GET", f"{self.api.path}/unicorn", headers={"Host": self.api.netloc})
        answer = connection.getresponse()
        return answer.status == 200 and "Name" in json.loads(answer.read() or b"{}")

    def recorder_table(self, table):
        """Sets the table that the recorder writes to; the one it had."""
        path = f"/2015-03-31/functions/{self.function('record-sns')}/configuration"
        connection = self.connection()
        status, configuration, _ = self.lambda_api(connection, "GET", path)
        if status != 200:
            sys.exit(f"GetFunctionConfiguration answered {status}")
        variables = configuration["Environment"]["Variables"]
        changed = {"Environment": {"Variables": variables | {"RIDES_TABLE": table}}}
        status, _, _ = self.lambda_api(connection, "PUT", path, changed)
        if status != 200:
            sys.exit(f"UpdateFunctionConfiguration answered {status}")
        return variables["RIDES_TABLE"]


def load(rides, artillery, rate, seconds, folder):
    """Has artillery ask for rides; its counts, and the ids of the rides that it got."""
    script, report, kept = folder / "rides.json", folder / "report.json", folder / "rides"
    script.write_text(json.dumps({
        "config": {
            "target": rides.endpoint,
            "processor": str(PROCESSOR),
            "http": {"timeout": 30},
            "phases": [{"duration": seconds, "arrivalRate": rate}],
        },
        "scenarios": [{"flow": [{"post": {
            "url": f"{rides.api.path}/ride",
            "headers": {"Host": rides.api.netloc},
            "beforeRequest": "place",
            "afterResponse": "keep",
        }}]}],
    }))
    report.unlink(missing_ok=True)
    kept.write_text("")
    done = subprocess.run(
        [artillery, "run", "--quiet", "--output", report, script],
        env={**os.environ, "ARTILLERY_DISABLE_TELEMETRY": "true", "RIDES_FILE": str(kept)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    if done.returncode != 0 or not report.exists():
        sys.exit(f"artillery ended with {done.returncode}: {done.stdout[-2000:]}")
    aggregate = json.loads(report.read_text())["aggregate"]
    counters = aggregate["counters"]
    times = aggregate["summaries"].get("http.response_time") or {}
    return {
        "rate": rate,
        "seconds": seconds,
        "launched": counters.get("vusers.created", 0),
        "replies": named(counters, "http.codes."),
        "errors": named(counters, "errors."),
        "latency": {f"{name}_ms": times.get(name) for name in ("p50", "p99", "max")},
    }, kept.read_text().split()


def named(counters, prefix):
    return {name.removeprefix(prefix): count for name, count in sorted(counters.items()) if name.startswith(prefix)}


class Pairs(threading.Thread):
    """Asks the fleet directly and through the gateway in turns, each first every other time, until it is told to end."""

    def __init__(self, rides):
        super().__init__(daemon=True)
        self.rides, self.ended = rides, threading.Event()
        self.milliseconds, self.failed = {"direct": [], "gateway": []}, 0

    def run(self):
        ways = [("direct", self.rides.fleet_directly), ("gateway", self.rides.fleet_through_gateway)]
        connections = {name: self.rides.connection() for name, _ in ways}
        while not self.ended.wait(PAIRS_EVERY):
            ways.reverse()
            took = {}
            for name, ask in ways:
                began = time.perf_counter()
                try:
                    answered = ask(connections[name])
                except (OSError, ValueError, http.client.HTTPException):
                    answered = False
                    connections[name].close()
                if answered:
                    took[name] = (time.perf_counter() - began) * 1000
            if len(took) < 2:
                self.failed += 1
                continue
            for name, value in took.items():
                self.milliseconds[name].append(value)

    def end(self):
        self.ended.set()
        self.join()
        direct, gateway = (rounded(spread(self.milliseconds[name])) for name in ("direct", "gateway"))
        return {
            "pairs": len(self.milliseconds["direct"]),
            "failed": self.failed,
            "direct": direct,
            "gateway": gateway,
            # Of each pair, so that what slowed both counts for neither.
            "gateway_to_direct": direct and round(statistics.median(
                there / here for here, there in zip(self.milliseconds["direct"], self.milliseconds["gateway"])
            ), 3),
        }


def rounded(values):
    return values and {name: round(value, 2) for name, value in values.items()}


class Broken(threading.Thread):
    """Breaks the recorder in the middle third of a load, and tells whether the alarm rang."""

    def __init__(self, rides, seconds):
        super().__init__(daemon=True)
        self.rides, self.third, self.rang = rides, seconds / 3, False

    def run(self):
        time.sleep(self.third)
        table = self.rides.recorder_table(NO_TABLE)
        try:
            self.watch(self.third)
        finally:
            self.rides.recorder_table(table)

    def watch(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.rang = self.rang or self.rides.ringing()
            time.sleep(min(left, 1))

    def wait_for_alarm(self):
        end = time.monotonic() + LETTERS_WITHIN
        while not self.rang and time.monotonic() < end:
            self.watch(1)
        return self.rang


def judge_records(replies, before, records):
    """How the records since then stand to the rides that were answered."""
    new = sorted(set(records) - set(before))
    return {
        "answered": len(replies),
        "records": len(new),
        "missing": len(set(replies) - set(new)),
        "unasked": len(set(new) - set(replies)),
        # The table's key is the ride's id: a ride answered or recorded twice has two.
        "twice": len(replies) - len(set(replies)) + len(records) - len(set(records)),
    }


def wait_for_records(rides, replies, before, within, also=lambda: 0):
    """The records as soon as each ride has its own, or is among the others that count, and none is missing."""
    end = time.monotonic() + within
    while True:
        found = judge_records(replies, before, rides.records())
        if found["missing"] - also() <= 0 or time.monotonic() > end:
            return found
        note(f"Waiting for {found['missing']} records …", last=False)
        time.sleep(1)


def complete(found):
    return found["missing"] == found["unasked"] == found["twice"] == 0


def all_answered(run):
    expected = run["rate"] * run["seconds"]
    return run["launched"] == expected and run["replies"] == {"201": expected} and not run["errors"]


def warm_up(rides, artillery, folder):
    """A few rides, so that every function of theirs has started once; a stack that answers none is none."""
    note("Warming up", last=False)
    before = rides.records()
    run, replies = load(rides, artillery, 2, 5, folder)
    found = wait_for_records(rides, replies, before, RECORDED_WITHIN)
    if not all_answered(run) or not complete(found):
        sys.exit(f"the stack does not take rides: {json.dumps(run | found)}")


def original_load(rides, artillery, rate, seconds, break_recorder, redrive, folder):
    before = rides.records()
    note(f"{rate} rides a second for {seconds} s" + (", the recorder broken in the middle third" if break_recorder else ""))
    pairs = Pairs(rides)
    broken = Broken(rides, seconds) if break_recorder else None
    pairs.start()
    if broken:
        broken.start()
    run, replies = load(rides, artillery, rate, seconds, folder)
    fleet, recovery = pairs.end(), None
    if broken:
        broken.join()
        found = wait_for_records(rides, replies, before, RECORDED_WITHIN, also=rides.letters)
        recovery = {"lost_to_queue": found["missing"], "letters": rides.letters(), "alarm": broken.wait_for_alarm()}
        note(f"{recovery['letters']} dead letters are redriven")
        recovery["redrive_exit"] = redrive(rides.letters_queue())
    found = wait_for_records(rides, replies, before, RECORDED_WITHIN)
    if broken:
        recovery["letters_left"] = rides.letters()
    return run, found, fleet, recovery


def search(held, first):
    """(highest rate that is held, lowest seen that is not): doubled until one is not held, then halved between."""
    low, high = 0, None
    rate = first
    while high is None or high > low * CLOSE and high - low > 1:
        if held(rate):
            low = rate
        else:
            high = rate
        if high is None:
            if low >= HIGHEST_RATE:
                break
            rate = min(2 * low, HIGHEST_RATE)
        else:
            rate = (low + high) // 2
    return low, high


def wait_until_quiet(rides):
    """Ends where the stack answers quickly again, or says that it does not."""
    connection, deadline, quick = rides.connection(), time.monotonic() + QUIET_WITHIN, 0
    while quick < QUICK_CALLS and time.monotonic() < deadline:
        began = time.perf_counter()
        try:
            answered = rides.fleet_through_gateway(connection)
        except (OSError, ValueError, http.client.HTTPException):
            answered = False
            connection.close()
        quick = quick + 1 if answered and (time.perf_counter() - began) * 1000 <= QUICK_MS else 0
        time.sleep(0.1)
    connection.close()
    if quick < QUICK_CALLS:
        note(f"the stack is not quiet {QUIET_WITHIN} s after the last stage")


def highest_rate(rides, artillery, first, folder):
    stages = []

    def held(rate):
        wait_until_quiet(rides)
        before = rides.records()
        run, replies = load(rides, artillery, rate, STAGE_SECONDS, folder)
        found = wait_for_records(rides, replies, before, RECORDED_WITHIN)
        p99 = run["latency"]["p99_ms"]
        fault = next((fault for fault, is_so in (
            ("not every ride was answered 201", not all_answered(run)),
            ("not every ride was recorded", not complete(found)),
            (f"p99 over {HELD_P99_MS} ms", p99 is None or p99 > HELD_P99_MS),
        ) if is_so), None)
        stages.append({**run, "records": found["records"], "held": fault is None, "fault": fault})
        note(f"{rate} a second for {STAGE_SECONDS} s: {fault or 'held'}, p99 {p99:g} ms" if p99 else f"{rate} a second: {fault}")
        return fault is None

    low, high = search(held, first)
    return {"held": low, "not_held": high, "stage_seconds": STAGE_SECONDS, "p99_limit_ms": HELD_P99_MS, "stages": stages}


def tables(found):
    run, records, fleet = found["load"], found["records"], found["fleet"]
    mark = {name: "✓" if is_met else "✗" for name, is_met in found["met"].items()}
    expected = run["rate"] * run["seconds"]
    print(f"\n    POST /ride, {run['rate']} a second for {run['seconds']} s: {expected} rides\n")
    for status, count in run["replies"].items():
        print(f"    {'answered ' + status:<20} {count:>7} {mark['answered'] if status == '201' else ''}")
    for error, count in run["errors"].items():
        print(f"    {error:<20} {count:>7}")
    print(f"    {'records':<20} {records['records']:>7} {mark['recorded']}")
    for name in ("missing", "unasked", "twice"):
        print(f"    {name:<20} {records[name]:>7}")
    print(f"\n    {'ms':<20} {'p50':>8} {'p99':>8} {'max':>8}")
    for name, times in (
        ("POST /ride", run["latency"]), ("fleet, directly", fleet["direct"]), ("GET /unicorn", fleet["gateway"]),
    ):
        if times and None not in times.values():
            print(f"    {name:<20} {times['p50_ms']:>8g} {times['p99_ms']:>8g} {times['max_ms']:>8g}")
    if fleet["direct"]:
        print(
            f"    Through the gateway takes {fleet['gateway_to_direct']:.2f} times as long as directly"
            f" (median of {fleet['pairs']} pairs, {fleet['failed']} failed) {mark['fleet']}"
        )
    if recovery := found["recovery"]:
        print(f"\n    {'The recorder was broken in the middle third':<20}")
        print(f"    {'dead letters':<20} {recovery['letters']:>7} {mark['letters']}")
        print(f"    {'the alarm':<20} {'rang' if recovery['alarm'] else 'silent':>7} {mark['alarm']}")
        print(f"    {'redrive, exit code':<20} {recovery['redrive_exit']:>7} {mark['redriven']}")
        print(f"    {'dead letters left':<20} {recovery['letters_left']:>7}")
    if highest := found["highest"]:
        print(f"\n    {'rides a second':>14} {'p50':>8} {'p99':>8} {'max':>8}   for {highest['stage_seconds']} s each")
        for stage in sorted(highest["stages"], key=lambda stage: stage["rate"]):
            times = "".join(f" {'-' if value is None else format(value, 'g'):>8}" for value in stage["latency"].values())
            print(f"    {stage['rate']:>14}{times}   {stage['fault'] or 'held'}")
        over = f"; {highest['not_held']} is not" if highest["not_held"] else ""
        print(f"    The highest rate that is held is {highest['held']} a second{over} {mark['highest']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stack", type=Path, required=True, help="its stack.json")
    parser.add_argument("--endpoint", required=True, help="of the emulator")
    parser.add_argument("--command", type=Path, required=True, help="the offchain command")
    parser.add_argument("--artillery", type=Path, required=True, help="artillery's program")
    parser.add_argument("--seconds", type=int, default=ORIGINAL["seconds"])
    parser.add_argument("--rate", type=int, default=ORIGINAL["rate"])
    parser.add_argument("--break-recorder", action="store_true")
    parser.add_argument("--highest", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    stack = json.loads(args.stack.read_text())
    if not stack.get("rides"):
        sys.exit("the stack has no rides: is terraform/'s variable rides null?")
    rides = Rides(stack, args.endpoint)

    def redrive(queue):
        done = subprocess.run(
            [args.command, "dlq", "redrive", queue, "--rate", "50"],
            env={**os.environ, "OFFCHAIN_STACK": str(args.stack)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False,
        )
        # A line a letter, and then the totals.
        note(f"offchain dlq redrive {queue}: {(done.stdout.split(chr(10) * 2)[-1]).strip() or 'nothing told'}")
        return done.returncode

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        warm_up(rides, args.artillery, folder)
        run, records, fleet, recovery = original_load(
            rides, args.artillery, args.rate, args.seconds, args.break_recorder, redrive, folder,
        )
        highest = highest_rate(rides, args.artillery, 2 * args.rate, folder) if args.highest else None
    met = {
        "answered": all_answered(run),
        "recorded": complete(records) and records["records"] == args.rate * args.seconds,
        "fleet": fleet["pairs"] > 0 and fleet["failed"] == 0,
    }
    if recovery:
        met |= {
            "letters": 0 < recovery["letters"] == recovery["lost_to_queue"],
            "alarm": recovery["alarm"],
            "redriven": recovery["redrive_exit"] == 0 and recovery["letters_left"] == 0,
        }
    if highest:
        met["highest"] = highest["held"] > 0
    found = {
        "load": run, "records": records, "fleet": fleet, "recovery": recovery, "highest": highest,
        "original": ORIGINAL, "met": met,
    }
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        tables(found)
    sys.exit(0 if all(met.values()) else 1)


if __name__ == "__main__":
    main()
