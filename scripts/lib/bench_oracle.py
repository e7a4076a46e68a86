"""Let the oracle of a fresh stack publish for some minutes; tell how punctual it is, and what a month of it costs.

The slots are read through the HTTP API, as anyone would read them. The costs are
computed from what is counted meanwhile: the histories of the executions, the log lines
of the functions, the capacity that the tables used.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

from probe import call

FEED = "demo"
TARGETS = {"p50_ms": 20, "p99_ms": 100, "step_functions_ratio": 1 / 15}

# List prices in dollars, free tiers left out: the table that `offchain cost` reckons with.
PRICE_TABLE = json.loads((Path(__file__).resolve().parents[2] / "crates/cost/prices.json").read_text())
PRICES_AS_OF = PRICE_TABLE["as_of"]
# Exact until the division, so that a price is the double nearest to it.
PRICES = {name: float(Fraction(price["dollars"]) / price["per"]) for name, price in PRICE_TABLE["prices"].items()}
MONTH_MINUTES = 730 * 60
# What a minute of the original design takes: a Standard machine that waits for each of
# 30 slots and then invokes a function. How long those runs and how much they log is
# not known: it is reckoned low, so that the comparison flatters the original.
ORIGINAL = {
    "transitions": 63, "runs": 31, "run_ms": 100, "memory_mb": 128, "run_log_bytes": 400, "writes": 30, "reads": 0,
    "invocations": 1,
}
# CloudWatch Logs adds this to each line.
LOG_OVERHEAD = 26
REPORT = re.compile(r"^REPORT .*\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB\t")


class Oracle:
    """What the bench asks the stack."""

    def __init__(self, stack, endpoint):
        self.region, self.endpoint = stack["region"], endpoint
        self.settings = stack["oracle"]
        self.suite = stack["name"]
        self.api = urlsplit(stack["api_url"])
        self.interval = int(self.settings["interval_seconds"])
        self.lead = int(self.settings["lead_seconds"])

    def ask(self, service, target, version, body):
        for _ in range(3):
            answer = call(self.endpoint, self.region, service, target, version, body)
            if answer is not None:
                return answer
            time.sleep(1)
        sys.exit(f"{target.split('.')[-1]} failed: {json.dumps(body)}")

    def pages(self, service, target, version, body, items, token="nextToken"):
        page = {}
        while True:
            page = self.ask(service, target, version, body | ({token: page[token]} if page else {}))
            yield from page[items]
            if not page.get(token):
                return

    def get(self, path):
        """(status, JSON) of the HTTP API."""
        # The name of the API resolves nowhere; the emulator looks at the header.
        request = urllib.request.Request(self.endpoint + self.api.path + path, headers={"Host": self.api.netloc})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {}
        except (OSError, ValueError):
            return 0, {}

    def records(self, since, until):
        """Every record of the slots from `since` until just before `until`."""
        records, page = [], iso(since)
        while page:
            status, body = self.get(f"/v1/feeds/{FEED}/readings?from={page}&to={iso(until)}&limit=100")
            if status != 200:
                sys.exit(f"GET /v1/feeds/{FEED}/readings answered {status or 'nothing'}")
            records += body["readings"]
            page = body["next"]
        return records

    def window_after(self, slot):
        """The first slot of the first whole minute's plan that begins after a slot."""
        minute = slot // 60 * 60 - 120
        while self.first_slot(minute) <= slot:
            minute += 60
        return self.first_slot(minute)

    def first_slot(self, minute):
        return math.ceil((minute + self.lead) / self.interval) * self.interval

    def executions(self):
        return self.pages(
            "states", "AWSStepFunctions.ListExecutions", "1.0",
            {"stateMachineArn": self.settings["state_machine_arn"]}, "executions",
        )

    def input_of(self, arn):
        answer = self.ask("states", "AWSStepFunctions.DescribeExecution", "1.0", {"executionArn": arn})
        return json.loads(answer["input"])

    def history(self, arn):
        return self.pages(
            "states", "AWSStepFunctions.GetExecutionHistory", "1.0",
            {"executionArn": arn, "maxResults": 1000}, "events",
        )

    def definition_bytes(self):
        body = {"stateMachineArn": self.settings["state_machine_arn"]}
        return len(self.ask("states", "AWSStepFunctions.DescribeStateMachine", "1.0", body)["definition"].encode())

    def log_lines(self, function, since, until):
        group = self.settings["log_groups"][function]
        body = {"logGroupName": group, "startTime": since * 1000, "endTime": until * 1000 - 1}
        events = self.pages("logs", "Logs_20140328.FilterLogEvents", "1.1", body, "events")
        return [event["message"] for event in events]

    def capacity(self, table, metric, since, until):
        answer = self.ask("monitoring", "GraniteServiceVersion20100801.GetMetricStatistics", "1.0", {
            "Namespace": "AWS/DynamoDB", "MetricName": metric, "Statistics": ["Sum"], "Period": 60,
            "Dimensions": [{"Name": "TableName", "Value": table}], "StartTime": since, "EndTime": until,
        })
        return sum(point["Sum"] for point in answer["Datapoints"])

    def standing(self):
        """How many metrics, alarms and secrets there are, whatever is published."""
        alarms = self.pages(
            "monitoring", "GraniteServiceVersion20100801.DescribeAlarms", "1.0",
            {"AlarmNamePrefix": f"{self.suite}-oracle", "MaxRecords": 100}, "MetricAlarms", "NextToken",
        )
        metrics = self.ask("monitoring", "GraniteServiceVersion20100801.ListMetrics", "1.0", {"Namespace": "offchain/oracle"})
        return {
            "metrics": len(metrics["Metrics"]),
            "alarms": sum(1 for _ in alarms),
            "secrets": sum(name.endswith("_secret_arn") for name in self.settings),
        }


class Counted:
    """What the minutes took. Each is counted soon after it is over: the emulator forgets in an hour."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.minutes = 0
        self.executions, self.transitions, self.express_seconds = set(), 0, 0.0
        self.memory_mb, self.definition = 0, oracle.definition_bytes()
        self.runs, self.gb_seconds, self.durations, self.log_bytes, self.invocations = 0, 0.0, [], 0, 0
        self.writes = self.reads = 0.0
        self.acknowledged = {}

    def minute(self, since):
        """Counts the minute from `since`; the acknowledged lateness of its slots."""
        until, settings = since + 60, self.oracle.settings
        self.minutes += 1
        for table in (settings["table"], settings["feeds_table"], settings["keys_table"]):
            self.writes += self.oracle.capacity(table, "ConsumedWriteCapacityUnits", since, until)
            self.reads += self.oracle.capacity(table, "ConsumedReadCapacityUnits", since, until)
        late = {}
        for role, function in settings["functions"].items():
            if role == "api":
                continue  # its cost is its callers'
            lines = self.oracle.log_lines(function, since, until)
            self.log_bytes += sum(len(line.encode()) + LOG_OVERHEAD for line in lines)
            reports = [report for report in map(REPORT.match, lines) if report]
            self.runs += len(reports)
            self.gb_seconds += sum(int(billed) / 1000 * int(memory) / 1024 for billed, memory in map(re.Match.groups, reports))
            if role == "publish":
                self.durations += [int(report[1]) for report in reports]
                late = dict(filter(None, map(acknowledgement, lines)))
            else:
                # Schedules start all of these but those that a missed slot takes.
                self.invocations += len(reports)
        self.acknowledged |= late
        return list(late.values())

    def ended_executions(self, first, last):
        """Counts executions that have ended, of the windows from `first` to `last`; how many there are by now."""
        for execution in self.oracle.executions():
            arn = execution["executionArn"]
            if execution["status"] == "RUNNING" or arn in self.executions:
                continue
            scheduled = self.oracle.input_of(arn).get("scheduled_time")
            if scheduled and first <= self.oracle.first_slot(seconds(scheduled)) <= last:
                self.executions.add(arn)
                self.execution(execution, list(self.oracle.history(arn)))
        return len(self.executions)

    def execution(self, execution, events):
        self.invocations += 1
        entered = [event["stateEnteredEventDetails"] for event in events if event["type"].endswith("StateEntered")]
        tries = sum(event["type"] == "TaskScheduled" for event in events)
        tasks = sum(event["type"] == "TaskStateEntered" for event in events)
        self.transitions += len(entered) + tries - tasks  # a retry is a transition too
        self.express_seconds += math.ceil(round((execution["stopDate"] - execution["startDate"]) * 10, 3)) / 10
        # AWS's estimate: 50 MB, the definition, and the data of the branches; billed by 64 MB.
        data = sum(len(state["input"]) for state in entered)
        self.memory_mb = max(self.memory_mb, 64 * math.ceil((50 + (self.definition + data) / 2**20) / 64))


def acknowledgement(line):
    """(slot, milliseconds) of the line that tells of an acknowledged write."""
    if "acknowledged_ms_after" not in line:
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if told.get("feed", FEED) != FEED:
        return None
    return told["slot"], float(told["acknowledged_ms_after"])


def iso(moment):
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def spread(values):
    """Percentiles of the nearest rank: the smallest value that so many do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        "p50_ms": ordered[math.ceil(len(ordered) * 0.5) - 1],
        "p99_ms": ordered[math.ceil(len(ordered) * 0.99) - 1],
        "max_ms": ordered[-1],
    }


def note(text, last=True):
    """A line of progress: on a terminal each takes the place of the one before."""
    if sys.stderr.isatty():
        print(f"\r\033[K==> {text}", end="\n" if last else "", file=sys.stderr, flush=True)
    elif last:
        print(f"==> {text}", file=sys.stderr, flush=True)


def wait(until, text):
    while (left := until - time.time()) > 0:
        note(f"{text} … {left:.0f} s", last=False)
        time.sleep(min(left, 1))


def first_published(oracle):
    """The first slot that is published. The first execution starts within a minute, its slots `lead` later."""
    deadline = time.time() + 120 + oracle.lead + 60
    while time.time() < deadline:
        note("Waiting for the first slot …", last=False)
        status, body = oracle.get(f"/v1/feeds/{FEED}/latest")
        if status == 200:
            return int(seconds(body["reading"]["slot"]))
        time.sleep(1)
    sys.exit(f"no slot of the feed {FEED} was published: see the emulator's log and the executions of oracle-minute")


def measure(oracle, minutes):
    """(first slot, end, what was counted) of so many whole minutes."""
    start = oracle.window_after(first_published(oracle))
    end = start + 60 * minutes
    counted = Counted(oracle)
    for minute in range(minutes):
        begin = start + 60 * minute
        # The last slot of a minute, and a little for its run to end and be logged.
        wait(begin + 60 + oracle.interval + 2, f"Minute {minute + 1} of {minutes}, from {iso(begin)[11:19]}")
        late = spread(counted.minute(begin))
        told = f"p50 {late['p50_ms']:g} ms, max {late['max_ms']:g} ms" if late else "nothing acknowledged"
        note(f"Minute {minute + 1} of {minutes}, from {iso(begin)[11:19]}: {told}")
        counted.ended_executions(start, end - 60)
    deadline = time.time() + 60
    while counted.ended_executions(start, end - 60) < minutes and time.time() < deadline:
        wait(time.time() + 2, "Waiting for the last execution to end")
    return start, end, counted


def judge_slots(oracle, start, end, records):
    expected = list(range(start, end, oracle.interval))
    known = {int(seconds(record["slot"])): record for record in records}
    written = {slot: seconds(record["written"]) for slot, record in known.items() if record["status"] == "published"}
    gaps = 0
    for edge in range(start + 60, end, 60):
        before = max((slot for slot in written if slot < edge), default=None)
        after = min((slot for slot in written if slot >= edge), default=None)
        gaps += before is None or after is None or after - before != oracle.interval
    late = [round((moment - slot) * 1000) for slot, moment in written.items()]
    return {
        "expected": len(expected),
        "published": sum(slot in written for slot in expected),
        "missed": sum(slot not in written for slot in expected),
        "unrecorded": sum(slot not in known for slot in expected),
        "early": sum(value < 0 for value in late),
        "gaps_between_minutes": gaps,
    }, spread(late)


def costs(counted):
    """{service: {original, standard, express}} in dollars a month."""
    def month(standard=0.0, express=0.0, both=0.0, original=0.0):
        scale = MONTH_MINUTES / counted.minutes
        return {
            "original": original * MONTH_MINUTES, "standard": (standard + both) * scale, "express": (express + both) * scale,
        }

    price, old = argparse.Namespace(**PRICES), argparse.Namespace(**ORIGINAL)
    gb_second = price.lambda_gb_second_x86_64
    rows = {
        "step_functions": month(
            original=old.transitions * price.standard_transition,
            standard=counted.transitions * price.standard_transition,
            express=len(counted.executions) * price.express_request
            + counted.express_seconds * counted.memory_mb / 1024 * price.express_gb_second,
        ),
        "lambda": month(
            original=old.runs * (price.lambda_request + old.run_ms / 1000 * old.memory_mb / 1024 * gb_second),
            both=counted.runs * price.lambda_request + counted.gb_seconds * gb_second,
        ),
        "dynamodb": month(
            original=old.writes * price.dynamodb_write + old.reads * price.dynamodb_read,
            both=counted.writes * price.dynamodb_write + counted.reads * price.dynamodb_read,
        ),
        "scheduler": month(
            original=old.invocations * price.scheduler_invocation,
            both=counted.invocations * price.scheduler_invocation,
        ),
        "logs": month(original=old.runs * old.run_log_bytes * price.log_byte, both=counted.log_bytes * price.log_byte),
    }
    rows["together"] = {
        design: sum(row[design] for row in rows.values()) for design in ("original", "standard", "express")
    }
    return rows


def result(oracle, minutes):
    start, end, counted = measure(oracle, minutes)
    slots, written = judge_slots(oracle, start, end, oracle.records(start, end))
    lateness = {"written": written, "acknowledged": spread(list(counted.acknowledged.values()))}
    rows = costs(counted)
    step_functions = rows["step_functions"]
    met = {name: slots[name] == 0 for name in ("missed", "early", "gaps_between_minutes")}
    for name, values in lateness.items():
        for percentile in ("p50_ms", "p99_ms"):
            met[f"{name}_{percentile}"] = values is not None and values[percentile] <= TARGETS[percentile]
    met["step_functions_ratio"] = (
        len(counted.executions) == minutes
        and step_functions["express"] <= TARGETS["step_functions_ratio"] * step_functions["original"]
    )
    standing = oracle.standing()
    return {
        "window": {"from": iso(start), "to": iso(end), "minutes": minutes, "interval_seconds": oracle.interval},
        "slots": slots,
        "lateness": lateness,
        "a_minute": {
            "executions": len(counted.executions) / minutes,
            "transitions": counted.transitions / minutes,
            "express_seconds": round(counted.express_seconds / minutes, 2),
            "express_memory_mb": counted.memory_mb,
            "lambda_runs": counted.runs / minutes,
            "lambda_gb_seconds": round(counted.gb_seconds / minutes, 3),
            "publish_billed_ms": round(statistics.mean(counted.durations)) if counted.durations else None,
            "dynamodb_writes": counted.writes / minutes,
            "dynamodb_reads": counted.reads / minutes,
            "scheduler_invocations": counted.invocations / minutes,
            "log_bytes": round(counted.log_bytes / minutes),
        },
        "original_a_minute": ORIGINAL,
        "cost": {
            "prices": f"{PRICE_TABLE['region']}, list prices as of {PRICES_AS_OF}, dollars a month",
            "rows": rows,
            "standing": {kind: count * PRICES[f"{kind[:-1]}_month"] for kind, count in standing.items()},
        },
        "standing": standing,
        "targets": TARGETS | {"missed": 0, "early": 0, "gaps_between_minutes": 0},
        "met": met,
    }


def tables(found):
    slots, met, minute = found["slots"], found["met"], argparse.Namespace(**found["a_minute"])
    mark = {name: "✓" if is_met else "✗" for name, is_met in met.items()}
    window = found["window"]
    print(f"\n    The feed {FEED}, a slot each {window['interval_seconds']} s, {window['minutes']} min from {window['from']}\n")
    unrecorded = f" ({slots['unrecorded']} without a record)" if slots["unrecorded"] else ""
    print(f"    slots expected       {slots['expected']:>6}")
    print(f"    published            {slots['published']:>6}")
    print(f"    missed               {slots['missed']:>6} {mark['missed']}{unrecorded}")
    print(f"    early                {slots['early']:>6} {mark['early']}")
    print(f"    gaps between minutes {slots['gaps_between_minutes']:>6} {mark['gaps_between_minutes']}\n")
    print(f"    {'ms after the slot':<20} {'p50':>8}   {'p99':>8}   {'max':>8}")
    for name in ("written", "acknowledged"):
        late = found["lateness"][name] or dict.fromkeys(("p50_ms", "p99_ms", "max_ms"), math.nan)
        print(
            f"    {name:<20} {late['p50_ms']:>8g} {mark[f'{name}_p50_ms']} {late['p99_ms']:>8g} {mark[f'{name}_p99_ms']}"
            f" {late['max_ms']:>8g}"
        )
    print(f"    targets: p50 ≤ {TARGETS['p50_ms']} ms, p99 ≤ {TARGETS['p99_ms']} ms; nothing missed, early or left out\n")

    print(f"    {'$ a month, as of ' + PRICES_AS_OF:<21} {'counted a minute':<25} {'original':>8} {'Standard':>8} {'Express':>8}")
    billed = f"{minute.publish_billed_ms} ms" if minute.publish_billed_ms else "none"
    details = {
        "step_functions": ("Step Functions", f"{minute.transitions:g} transitions | {minute.express_seconds:g} s"),
        "lambda": ("Lambda", f"{minute.lambda_runs:g} runs, of {billed}"),
        "dynamodb": ("DynamoDB", f"{minute.dynamodb_writes:g} writes, {minute.dynamodb_reads:g} reads"),
        "scheduler": ("Scheduler", f"{minute.scheduler_invocations:g} invocations"),
        "logs": ("CloudWatch Logs", f"{minute.log_bytes / 1000:.1f} kB"),
        "together": ("Together", ""),
    }
    rows = found["cost"]["rows"]
    for name, (service, detail) in details.items():
        row = rows[name]
        print(f"    {service:<21} {detail:<25} {row['original']:>8.2f} {row['standard']:>8.2f} {row['express']:>8.2f}")
    for text, name, judged in (
        ("Step Functions", "step_functions", f" {mark['step_functions_ratio']} (target: at most 1/15)"),
        ("everything together", "together", ""),
    ):
        row = rows[name]
        print(f"    {text}: Express costs {fraction(row['express'], row['original'])} of the original{judged}")
    standing = ", ".join(
        f"{count} {kind} {found['cost']['standing'][kind]:.2f}" for kind, count in found["standing"].items()
    )
    print(f"    Besides, at any interval: {standing}")
    old = ORIGINAL
    print(
        f"    The original: {old['transitions']} transitions, {old['runs']} runs (reckoned at {old['run_ms']} ms,"
        f" {old['memory_mb']} MB), {old['writes']} writes"
    )


def fraction(part, whole):
    return f"1/{whole / part:.1f}" if 0 < part < whole else f"{part / whole:.1f} times that"


def plot(command, stack_file, window, picture):
    """Whether the suite's own command has drawn the slots."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [command, "oracle", "plot", FEED, "--from", window["from"], "--to", window["to"], "--out", picture],
        env={**os.environ, "OFFCHAIN_STACK": str(stack_file)}, stdout=sys.stderr, check=False,
    )
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stack", type=Path, required=True, help="its stack.json")
    parser.add_argument("--endpoint", required=True, help="of the emulator")
    parser.add_argument("--command", type=Path, required=True, help="the offchain command")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True, help="folder of the picture")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    stack = json.loads(args.stack.read_text())
    if not stack.get("oracle"):
        sys.exit("the stack has no oracle: is terraform/'s variable oracle null?")
    found = result(Oracle(stack, args.endpoint), args.minutes)
    picture = args.out / "oracle.svg"
    found["met"]["picture"] = plot(args.command, args.stack, found["window"], picture)
    found["picture"] = str(picture)
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        tables(found)
        print(f"    picture: {picture}" if found["met"]["picture"] else "    the picture could not be drawn ✗")
    sys.exit(0 if all(found["met"].values()) else 1)


if __name__ == "__main__":
    main()
