"""MiniStack, plus what this suite needs that MiniStack 1.5.33 lacks.

1. Queue metrics. AWS publishes AWS/SQS metrics of every queue; MiniStack publishes
   none, so no alarm on a dead-letter queue could fire.
2. Alarms that look at their own dimensions. MiniStack evaluates an alarm over all
   series of its metric name, so one full queue would fire the alarm of every queue.
3. An alarm's fields as Terraform's provider reads them. MiniStack leaves most out of
   its XML, and gives an alarm on a percentile a second statistic; each plan would
   set every alarm anew.
4. Snapshots. MiniStack saves its state when it is asked to stop and at no other
   time; here it is saved every few seconds too, so that `kill -9` or a power cut
   costs seconds (a minute or two once tables hold tens of thousands of items);
   SIGUSR1 asks for one now. MiniStack replaces each file atomically. It also copies
   each item of a table, which takes longer than the time between two writes, and a
   copy fails where a write comes between; items are replaced, never changed, so here
   the tables alone are copied.
5. Executions that outlive a restart. AWS would go on with them; MiniStack declares
   them failed. Here they begin again, which the suite's machines are made for.
6. Schedules that know their time. Scheduler replaces `<aws.scheduler.scheduled-time>`
   and its like in a target's input; MiniStack passes them on. It also looks every 10 s
   only, and counts a rate from when it last looked; here it looks every second, and a
   rate does not drift.
7. Metrics in log lines. AWS reads the embedded metric format; MiniStack does not.
8. The capacity that tables use, which AWS publishes as metrics, and MiniStack does not.
9. Express executions without status events, of which AWS sends none.
10. Histories that hold the states inside a Map, which MiniStack's leave out, and whose
    events each have a number of their own.
11. An end to what is kept. MiniStack keeps every log line, execution and event for
    ever; of the oracle's there are 43,200 a day. What is older than the times below
    is dropped.
12. Idle connections that clients close. MiniStack closes one after 75 s; clients of
    Rust and Go keep one for 90 s, and what they send on it just then is lost.

The environment starts empty: no credentials, profile or proxy of the user reaches
the functions, which inherit it.
"""

import argparse
import asyncio
import contextlib
import copy
import importlib.metadata
import json
import logging
import math
import os
import re
import secrets
import signal
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.sax.saxutils import escape

MINISTACK_VERSION = "1.5.33"
# What the patches below read or replace, by module of ministack.services.
PATCHED = {
    "cloudwatch": (
        "_alarms", "_metrics", "_evaluate_alarm", "_evaluate_all_alarms", "_evict_old_metrics", "_calc_stats",
        "_stat_value", "_dims_key", "_dims_from_list", "_record_history", "_dispatch_alarm_actions",
        "_evaluate_parent_alarms", "_describe_alarms", "_put_metric_alarm", "_store_datum", "record_metric",
    ),
    "cloudwatch_logs": ("_append_log_events", "_log_groups"),
    "dynamodb": (
        "_tables", "_tags", "_ttl_settings", "_pitr_settings", "_kinesis_destinations", "_contributor_insights",
        "_backups", "_resource_policies", "_exports", "_imports", "_INDEX_MEMBERS", "_add_consumed_capacity",
        "_item_size_bytes", "get_state",
    ),
    "eventbridge": ("_cron_next_fire", "_events_log", "_invoke_target", "_parse_cron_fields", "_parse_rate_seconds"),
    "scheduler": ("_SCHEDULE_TICK_INTERVAL", "_schedule_last_fired"),
    "sqs": ("_queues", "_refresh_counts"),
    "stepfunctions": (
        "_add_event", "_emit_execution_status_event", "_executions", "_execute_choice", "_execute_map",
        "_execute_parallel", "_execute_pass", "_execute_task", "_execute_wait", "_iso_to_epoch_ms",
        "_start_execution", "_state_machines",
    ),
}
# How long things are kept, in seconds. Queues have a sample every two seconds; a
# Standard execution's history lasts 90 days on AWS, an Express one has none.
METRIC_RETENTION = 3600
QUEUE_METRIC_RETENTION = 600
LOG_RETENTION = 3600
# Longer than any client keeps an idle connection; in seconds.
IDLE_CONNECTION_LIMIT = 600
EXECUTION_RETENTION = {"EXPRESS": 3600, "STANDARD": 86400}
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}

log = logging.getLogger("offchain.emulator")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--dir", type=Path, required=True, help="folder for state and temporary files")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--functions-endpoint", metavar="URL",
        help="where functions find AWS, if not here: a proxy, by which a test breaks their calls",
    )
    parser.add_argument("--metrics-every", type=float, default=2, metavar="SECONDS")
    parser.add_argument("--snapshot-every", type=float, default=15, metavar="SECONDS")
    parser.add_argument(
        "--alarm-period", type=float, default=10, metavar="SECONDS",
        help="upper limit of the period of alarms on AWS's own metrics, so that they return to OK "
        "without a minute's wait; and how late a metric of the suite's own may be",
    )
    return parser.parse_args()


def set_environment(args):
    state, scratch = args.dir / "state", args.dir / "tmp"
    for folder in (state, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("PATH", os.defpath)
    os.environ.clear()
    os.environ.update(
        PATH=path,
        HOME=str(scratch),
        TMPDIR=str(scratch),
        LANG="C.UTF-8",
        GATEWAY_PORT=str(args.port),
        BIND_HOST="127.0.0.1",
        AUTH="true",
        PERSIST_STATE="1",
        STATE_DIR=str(state),
        S3_DATA_DIR=str(args.dir / "s3"),
        S3_PERSIST="1",
        MINISTACK_REGION=args.region,
        # Functions reach the emulator only if its own process has this set.
        AWS_ENDPOINT_URL=args.functions_endpoint or f"http://127.0.0.1:{args.port}",
        LAMBDA_EXECUTOR="local",
        LAMBDA_ASYNC_RETRY_BASE_SECONDS="0.2",
        LAMBDA_ASYNC_RETRY_MAX_SECONDS="2",
        # Listeners on further ports, of services that the suite does not use.
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        # Never look for a Docker daemon.
        DOCKER_HOST=f"unix://{scratch}/no-docker.sock",
    )
    tempfile.tempdir = str(scratch)


def fail(message):
    sys.exit(f"emulator: {message}")


def load_services():
    """MiniStack's app, its patched modules and its request scope; or a clear end where a pin
    and the patches disagree."""
    try:
        version = importlib.metadata.version("ministack")
        import ministack.app
        from ministack.core.responses import request_scope

        services = {module: importlib.import_module(f"ministack.services.{module}") for module in PATCHED}
    except ImportError as error:
        fail(f"ministack does not import ({error}): remove .venv and run the command again")
    if version != MINISTACK_VERSION:
        fail(f"these patches are for ministack {MINISTACK_VERSION}, found {version}: see scripts/requirements/local.txt")
    missing = [
        f"ministack.services.{module}.{name}"
        for module, names in PATCHED.items()
        for name in names
        if not hasattr(services[module], name)
    ]
    for name in ("_HypercornConfig", "_run_ready_scripts", "_build_persistence_save_dict", "save_all", "main"):
        if not hasattr(ministack.app, name):
            missing.append(f"ministack.app.{name}")
    if missing:
        fail(f"ministack {version} lacks what is patched here: {', '.join(missing)}")
    return ministack.app, argparse.Namespace(**services), request_scope


def patch_idle_connections(config_class):
    """MiniStack sets the limit on each configuration it makes, so that no default would hold."""
    if not hasattr(config_class, "keep_alive_timeout"):
        fail("hypercorn's configuration has no keep_alive_timeout")
    config_class.keep_alive_timeout = property(lambda _: IDLE_CONNECTION_LIMIT, lambda _, limit: None)


def alarm_state(alarm, points, statistic, period_limit, now):
    """(state, reason) of an alarm over the points of its own series, or None to leave it as it is.

    The last EvaluationPeriods windows are judged one by one; DatapointsToAlarm of
    them must breach. A window without points counts as TreatMissingData says.

    AWS's own metrics come every few seconds here, so their windows may be short. The
    suite's come once a minute and need the alarm's own period; where a point comes a
    little late, those just before the window stand in for it, as on AWS, which looks
    back further than the windows.
    """
    compare = COMPARISONS.get(alarm.get("ComparisonOperator"))
    if compare is None:
        return None
    period, late = alarm.get("Period") or 60, 0
    if alarm["Namespace"].startswith("AWS/"):
        period = min(period, period_limit)
    else:
        late = period_limit
    windows = alarm.get("EvaluationPeriods") or 1
    needed = alarm.get("DatapointsToAlarm") or windows
    threshold = alarm.get("Threshold", 0)
    missing_as = alarm.get("TreatMissingData") or "missing"

    def value_of(begin, end):
        return statistic([p for p in points if begin < p["Timestamp"] <= end])

    values, breaching = [], 0
    for index in range(windows):
        end = now - index * period
        value = value_of(end - period, end)
        if value is None and late:
            value = value_of(end - period - late, end)
        if value is not None:
            values.append(value)
        if compare(value, threshold) if value is not None else missing_as == "breaching":
            breaching += 1
    if breaching >= needed:
        reached = "no data" if not values else ", ".join(f"{value:g}" for value in values)
        return "ALARM", f"Threshold Crossed: {breaching} of {windows} datapoints [{reached}] {alarm['ComparisonOperator']} {threshold:g}"
    if not values and missing_as == "ignore":
        return None
    if not values and missing_as == "missing":
        return "INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received"
    return "OK", f"Threshold not crossed: {breaching} of {windows} datapoints"


def patch_alarms(cloudwatch, period_limit):
    def evaluate(alarm):
        namespace, metric = alarm.get("Namespace"), alarm.get("MetricName")
        if not namespace or not metric:
            return
        name = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"

        def statistic(points):
            stats = cloudwatch._calc_stats(points)
            return cloudwatch._stat_value(stats, name, points) if stats else None

        dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
        points = cloudwatch._metrics.get((namespace, metric, cloudwatch._dims_key(dimensions))) or []
        outcome = alarm_state(alarm, points, statistic, period_limit, time.time())
        old = alarm["StateValue"]
        if outcome is None or outcome[0] == old:
            return
        new, reason = outcome
        alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
        log.info("alarm %s: %s -> %s (%s)", alarm["AlarmName"], old, new, reason)
        cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
        cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)
        cloudwatch._evaluate_parent_alarms(alarm)

    cloudwatch._evaluate_alarm = evaluate


def alarm_fields(alarm):
    """The fields of an alarm that MiniStack's XML leaves out."""

    def element(name, value):
        return "" if value in (None, "") else f"<{name}>{escape(str(value))}</{name}>"

    def elements(name, members):
        return f"<{name}>{''.join(f'<member>{member}</member>' for member in members)}</{name}>"

    return "".join(
        [element(name, alarm.get(name)) for name in (
            "AlarmDescription", "Statistic", "ExtendedStatistic", "Period", "Unit", "TreatMissingData",
        )]
        + [element("ActionsEnabled", str(alarm.get("ActionsEnabled", True)).lower())]
        + [elements(name, map(escape, alarm.get(name) or [])) for name in (
            "AlarmActions", "OKActions", "InsufficientDataActions",
        )]
        + [elements("Dimensions", (
            element("Name", dimension["Name"]) + element("Value", dimension["Value"])
            for dimension in alarm.get("Dimensions") or []
        ))]
    )


def patch_alarm_description(cloudwatch):
    describe, put = cloudwatch._describe_alarms, cloudwatch._put_metric_alarm
    member = re.compile(r"(<member><AlarmName>([^<]*)</AlarmName>.*?)(</member>)", re.DOTALL)

    def complete(match):
        alarm = cloudwatch._alarms.get(match[2])
        return match[1] + (alarm_fields(alarm) if alarm else "") + match[3]

    def describe_all(params, data, is_cbor, is_json=False):
        status, headers, body = describe(params, data, is_cbor, is_json)
        if status == 200 and not is_cbor and not is_json:
            body = member.sub(complete, body.decode()).encode()
        return status, headers, body

    def put_one_statistic(*request):
        answer = put(*request)
        for alarm in cloudwatch._alarms.values():
            if alarm.get("ExtendedStatistic"):
                alarm.pop("Statistic", None)
        return answer

    cloudwatch._describe_alarms = describe_all
    cloudwatch._put_metric_alarm = put_one_statistic


def age_of_oldest(messages, now):
    """Seconds since the oldest message came to this queue; a dead letter's age starts at its move."""
    oldest = now
    for message in messages:
        since = message.get("sent_at", now)
        if "DeadLetterQueueSourceArn" in message.get("sys", {}):
            since = message.setdefault("offchain_dead_since", now)
        oldest = min(oldest, since)
    return now - oldest


def publish_metrics(cloudwatch, sqs, request_scope):
    now = time.time()
    scopes = {key[:2] for key in list(cloudwatch._alarms._data)}
    for (account, region, _url), queue in list(sqs._queues._data.items()):
        scopes.add((account, region))
        with request_scope(account, region):
            sqs._refresh_counts(queue)
            attributes, dimensions = queue["attributes"], {"QueueName": queue["name"]}
            for metric, value, unit in (
                ("ApproximateNumberOfMessagesVisible", attributes["ApproximateNumberOfMessages"], "Count"),
                ("ApproximateNumberOfMessagesNotVisible", attributes["ApproximateNumberOfMessagesNotVisible"], "Count"),
                ("ApproximateAgeOfOldestMessage", age_of_oldest(queue["messages"], now), "Seconds"),
            ):
                cloudwatch.record_metric("AWS/SQS", metric, float(value), unit, dimensions)
    for account, region in scopes:
        with request_scope(account, region):
            cloudwatch._evaluate_all_alarms()


def embedded_metrics(message):
    """(namespace, name, unit, dimensions, seconds, values) of each metric that a log line in the
    embedded metric format holds. A line that is not quite in that format holds none, as on AWS.
    """
    if not message.startswith("{") or '"_aws"' not in message:
        return []
    try:
        line = json.loads(message)
        metadata = line["_aws"]
        return [
            (
                directive["Namespace"], metric["Name"], metric.get("Unit", "None"),
                {name: text_of(line[name]) for name in names},
                metadata["Timestamp"] / 1000, numbers_of(line[metric["Name"]]),
            )
            for directive in metadata["CloudWatchMetrics"]
            for names in directive["Dimensions"]
            for metric in directive["Metrics"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def text_of(value):
    if not isinstance(value, str):
        raise TypeError("a dimension is no text")
    return value


def numbers_of(value):
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) > 100 or any(type(number) not in (int, float) for number in numbers):
        raise TypeError("a metric is no number, nor a list of up to 100")
    return numbers


def patch_log_metrics(cloudwatch, cloudwatch_logs):
    append = cloudwatch_logs._append_log_events

    def append_and_measure(stream, events):
        append(stream, events)
        for event in events:
            for namespace, name, unit, dimensions, seconds, values in embedded_metrics(event["message"]):
                cloudwatch._store_datum(namespace, name, dimensions, seconds, unit, None, values, None, None)

    cloudwatch_logs._append_log_events = append_and_measure


def patch_capacity_metrics(cloudwatch, dynamodb):
    add = dynamodb._add_consumed_capacity

    def add_and_measure(result, data, table, **change):
        add(result, data, table, **change)
        if change.get("write"):
            name, counted = "ConsumedWriteCapacityUnits", {}
            add(counted, {"ReturnConsumedCapacity": "TOTAL"}, table, **change)
            units = counted["ConsumedCapacity"]["CapacityUnits"]
        else:
            name, items = "ConsumedReadCapacityUnits", result.get("Items") or [result.get("Item") or {}]
            size = sum(map(dynamodb._item_size_bytes, items))
            units = max(1, math.ceil(size / 4096)) * (1 if data.get("ConsistentRead") else 0.5)
        cloudwatch.record_metric("AWS/DynamoDB", name, units, "Count", {"TableName": table})

    dynamodb._add_consumed_capacity = add_and_measure


def due_time(expression, created, now, eventbridge):
    """The time at which a schedule that fires now was due, in seconds."""
    interval = eventbridge._parse_rate_seconds(expression)
    if interval:
        return created + (now - created) // interval * interval
    fields = eventbridge._parse_cron_fields(expression)
    if not fields:
        return now
    minute = timedelta(minutes=1)
    due = datetime.fromtimestamp(now, timezone.utc).replace(second=0, microsecond=0)
    # The minute itself, or an earlier one where this machine has slept since.
    while eventbridge._cron_next_fire(fields, due - minute) > due:
        due -= minute
    return due.timestamp()


def with_context(text, arn, due):
    """A schedule's input as Scheduler hands it on (AWS page "Adding context attributes")."""
    for name, value in (
        ("schedule-arn", arn),
        ("scheduled-time", datetime.fromtimestamp(due, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("execution-id", secrets.token_hex(8)),
        ("attempt-number", "1"),
    ):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def patch_schedules(scheduler, eventbridge):
    invoke = eventbridge._invoke_target

    def invoke_in_context(target, event, rule, view=None):
        # Rules have no such window; their inputs know no context attributes.
        if "FlexibleTimeWindow" in rule:
            due = due_time(rule["ScheduleExpression"], rule["CreationDate"], event["Time"], eventbridge)
            key = (event["Account"], event["Region"], f"{rule['GroupName']}/{rule['Name']}")
            scheduler._schedule_last_fired[key] = due
            if target.get("Input"):
                target = {**target, "Input": with_context(target["Input"], rule["Arn"], due)}
        return invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_in_context
    scheduler._SCHEDULE_TICK_INTERVAL = 1


def patch_executions(stepfunctions):
    emit, add, adding = stepfunctions._emit_execution_status_event, stepfunctions._add_event, threading.Lock()

    def emit_of_standard(execution):
        machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) or {}
        if machine.get("type") != "EXPRESS":
            emit(execution)

    def add_alone(execution, event_type, details=None):
        # The items of a Map add theirs from threads of their own.
        with adding:
            return add(execution, event_type, details)

    def recorded(kind, execute):
        def run(state, state_input, *rest):
            context = (rest and rest[-1]) or {}
            execution = None
            if "Map" in context:
                execution = stepfunctions._executions.get(context.get("Execution", {}).get("Id"))
            if execution is None:
                return execute(state, state_input, *rest)
            name = context["State"]["Name"]
            add_alone(execution, f"{kind}StateEntered", {
                "stateEnteredEventDetails": {"name": name, "input": json.dumps(state_input)},
            })
            output, following = execute(state, state_input, *rest)
            add_alone(execution, f"{kind}StateExited", {
                "stateExitedEventDetails": {"name": name, "output": json.dumps(output)},
            })
            return output, following

        return run

    stepfunctions._emit_execution_status_event = emit_of_standard
    stepfunctions._add_event = add_alone
    for kind in ("Choice", "Map", "Parallel", "Pass", "Task", "Wait"):
        name = f"_execute_{kind.lower()}"
        setattr(stepfunctions, name, recorded(kind, getattr(stepfunctions, name)))


def patch_table_state(dynamodb, scoped_dict):
    def get_state():
        tables = scoped_dict()
        for (account, region, name), table in dynamodb._tables.all_items():
            kept = {key: value for key, value in table.items() if key not in ("items", dynamodb._INDEX_MEMBERS)}
            items = {key: dict(under) for key, under in list(table["items"].items())}
            tables.set_scoped(account, region, name, {**copy.deepcopy(kept), "items": items})
        return {"tables": tables} | {
            name: copy.deepcopy(getattr(dynamodb, f"_{name}")) for name in (
                "tags", "ttl_settings", "pitr_settings", "kinesis_destinations", "contributor_insights",
                "backups", "resource_policies", "exports", "imports",
            )
        }

    dynamodb.get_state = get_state


def forget_the_old(services, now):
    """Drops what has been kept long enough."""
    for (_account, _region, (namespace, *_)), points in list(services.cloudwatch._metrics._data.items()):
        retention = QUEUE_METRIC_RETENTION if namespace == "AWS/SQS" else METRIC_RETENTION
        while points and points[0]["Timestamp"] < now - retention:
            points.pop(0)
    for group in list(services.cloudwatch_logs._log_groups._data.values()):
        # Each invocation has a stream of its own.
        for name, stream in list(group["streams"].items()):
            if (stream["lastEventTimestamp"] or stream["creationTime"]) / 1000 < now - LOG_RETENTION:
                group["streams"].pop(name, None)
    executions, machines = services.stepfunctions._executions._data, services.stepfunctions._state_machines._data
    for key, execution in list(executions.items()):
        ended = services.stepfunctions._iso_to_epoch_ms(execution.get("stopDate"))
        machine = machines.get((*key[:2], execution["stateMachineArn"])) or {}
        retention = EXECUTION_RETENTION[machine.get("type", "STANDARD")]
        if ended and ended / 1000 < now - retention:
            executions.pop(key, None)
    # Nothing reads these: rules and archives have had them.
    for events in list(services.eventbridge._events_log._data.values()):
        events.clear()


def resume_executions(stepfunctions, request_scope):
    """Executions that ran when the emulator ended begin again, under their name and with their input.

    AWS would have gone on with them; MiniStack cannot, and declares them failed.
    """
    for (account, region, arn), execution in list(stepfunctions._executions._data.items()):
        if execution.get("error") != "States.ServiceRestart":
            continue
        with request_scope(account, region):
            del stepfunctions._executions[arn]
            stepfunctions._start_execution({
                "stateMachineArn": execution["stateMachineArn"],
                "name": execution["name"],
                "input": execution["input"],
            })


async def forever(step, every, wanted=None):
    """Run a step every so many seconds, and at once where it is wanted; less often where it takes
    more than a twentieth of the time."""
    wanted, took = wanted or asyncio.Event(), 0
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(wanted.wait(), max(every, 20 * took))
        wanted.clear()
        began = time.monotonic()
        try:
            await step()
        except Exception:
            log.exception("%s failed", step.__name__)
        took = time.monotonic() - began


def retried(get_state):
    """A state's copy, begun again where the state changed meanwhile."""
    def get():
        for _ in range(4):
            with contextlib.suppress(RuntimeError):
                return get_state()
        return get_state()

    return get


def main():
    args = parse_arguments()
    with contextlib.suppress(OSError):
        os.setsid()  # Ctrl-C at the terminal that started it stays there
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    set_environment(args)
    app, services, request_scope = load_services()
    cloudwatch, stepfunctions = services.cloudwatch, services.stepfunctions
    logging.getLogger("persistence").setLevel(logging.WARNING)
    patch_idle_connections(app._HypercornConfig)
    patch_alarms(cloudwatch, args.alarm_period)
    patch_alarm_description(cloudwatch)
    patch_log_metrics(cloudwatch, services.cloudwatch_logs)
    patch_capacity_metrics(cloudwatch, services.dynamodb)
    patch_schedules(services.scheduler, services.eventbridge)
    patch_executions(stepfunctions)
    patch_table_state(services.dynamodb, type(services.dynamodb._tables))
    # Done below, without putting a new list in the place of one that others append to.
    cloudwatch._evict_old_metrics = lambda: None
    save_all, run_ready_scripts = app.save_all, app._run_ready_scripts
    saving = threading.Lock()

    def save_alone(states):
        # The last save at the end must not meet a snapshot in the same file.
        with saving:
            save_all({name: retried(get_state) for name, get_state in states.items()})

    async def publish():
        publish_metrics(cloudwatch, services.sqs, request_scope)

    async def forget():
        forget_the_old(services, time.time())

    async def snapshot():
        # A thread, so that requests go on; a service that changes under the copy
        # time and again keeps its previous file until the next round.
        await asyncio.to_thread(save_alone, app._build_persistence_save_dict())

    async def run_after_start():
        app._run_ready_scripts = run_ready_scripts  # a reset calls it again
        wanted = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, wanted.set)
        await run_ready_scripts()
        resume_executions(stepfunctions, request_scope)
        await asyncio.gather(
            forever(publish, args.metrics_every),
            forever(forget, 60),
            forever(snapshot, args.snapshot_every, wanted),
        )

    app.save_all = save_alone
    app._run_ready_scripts = run_after_start
    sys.argv = ["ministack"]
    app.main()
    # All is saved. Python itself would wait for the threads in which executions
    # wait for their slots, up to a minute.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
