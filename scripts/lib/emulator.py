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
   the tables alone are copied. AWS's own metrics are left out: there are many, and they
   come anew.
5. Executions that outlive a restart. AWS would go on with them; MiniStack declares
   them failed. Here they begin again, which the suite's machines are made for.
6. Schedules that know their time. Scheduler replaces `<aws.scheduler.scheduled-time>`
   and its like in a target's input, the execution id by one of each run; MiniStack
   passes them on. It also looks every 10 s only, and counts a rate from when it last
   looked; here it looks every second, and a rate does not drift.
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
13. Asynchronous invocations of functions as AWS makes them, SNS's, EventBridge's and
    Scheduler's among them, which MiniStack runs once and forgets: one request id, tried
    again as the function's settings say, throttled ones without an end to the tries;
    then the record of it goes to the function's destination, which MiniStack's has
    without the count of the tries, the request id and the function's version; or the
    event itself to its dead-letter queue, which MiniStack sends the record as well.
14. Dead-letter queues of SNS subscriptions, of rule targets and of schedules, where the
    function, machine or queue is not there, or its policy keeps SNS out.
15. Metrics of each run of a function and of each request of an HTTP API. MiniStack
    counts what is invoked directly, and nothing of asynchronous runs, of queues, of
    machines or of APIs, so that no alarm on those could fire.
16. Functions that are called, and answer, at once. MiniStack's Runtime API sends an
    event's head and body apart, and the second waits some 40 ms for the first to be
    acknowledged; and an answer waits 50 ms for a log line, where none was written.
17. Preflight requests that a route of an HTTP API answers, where the API itself has no
    CORS settings. MiniStack refuses them.
18. Batches of SQS under the permission of the single call, as on AWS. MiniStack asks for
    a permission by the batch's own name, which IAM does not know.
19. Runs that end although their function is changed meanwhile. MiniStack kills them.
20. Answers that Terraform can ask for again. Where hundreds of resources are made at
    once, a connection breaks now and then between a call and its answer. The provider
    asks again, and AWS knows the call by its invocation; MiniStack makes it twice, and
    the second ends in "already exists".

The environment starts empty: no credentials, profile or proxy of the user reaches
the functions, which inherit it.
"""

import argparse
import asyncio
import collections
import contextlib
import contextvars
import copy
import fcntl
import importlib.metadata
import itertools
import json
import logging
import math
import os
import re
import secrets
import signal
import socketserver
import sys
import tempfile
import termios
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.sax.saxutils import escape

MINISTACK_VERSION = "1.5.33"
# What the patches below read or replace, by module of ministack.services.
PATCHED = {
    "apigateway": ("_apis", "_handle_execute_in_scope", "_integrations", "_invoke_lambda_proxy", "_match_route"),
    "cloudwatch": (
        "_alarms", "_metrics", "_evaluate_alarm", "_evaluate_all_alarms", "_evict_old_metrics", "_calc_stats",
        "_stat_value", "_dims_key", "_dims_from_list", "_record_history", "_dispatch_alarm_actions",
        "_evaluate_parent_alarms", "_describe_alarms", "_put_metric_alarm", "_store_datum", "record_metric",
        "_composite_alarms", "_composite_triggers", "_alarm_history", "_dashboards", "_resource_tags", "get_state",
    ),
    "cloudwatch_logs": ("_append_log_events", "_log_groups"),
    "dynamodb": (
        "_tables", "_tags", "_ttl_settings", "_pitr_settings", "_kinesis_destinations", "_contributor_insights",
        "_backups", "_resource_policies", "_exports", "_imports", "_INDEX_MEMBERS", "_add_consumed_capacity",
        "_item_size_bytes", "get_state",
    ),
    "eventbridge": (
        "_cron_next_fire", "_dispatch_to_lambda", "_dispatch_to_sqs", "_dispatch_to_stepfunctions", "_events_log",
        "_invoke_target", "_parse_cron_fields", "_parse_rate_seconds",
    ),
    "lambda_svc": (
        "_LAMBDA_ASYNC_RETRY_BASE_SECONDS", "_LAMBDA_ASYNC_RETRY_MAX_SECONDS", "_account_region_from_function_config",
        "_emit_lambda_metrics", "_execute_function", "_execute_function_dispatch", "_execution_record_for_config",
        "_get_func_record_for_ref", "_update_code", "_update_config", "invoke_async_with_retry", "release_worker",
    ),
    "scheduler": ("_SCHEDULE_TICK_INTERVAL", "_schedule_last_fired"),
    "sns": ("_deliver_to_lambda", "_deliver_to_sqs", "_topic_by_arn_any_scope"),
    "sqs": (
        "_ensure_msg_fields", "_md5_msg_attrs", "_queue_by_arn", "_queues", "_refresh_counts", "queue_delay",
        "queue_policy_allows",
    ),
    "stepfunctions": (
        "_add_event", "_emit_execution_status_event", "_executions", "_execute_choice", "_execute_map",
        "_execute_parallel", "_execute_pass", "_execute_task", "_execute_wait", "_iso_to_epoch_ms",
        "_resolve_state_machine_arn", "_start_execution", "_state_machines",
    ),
}
# How long things are kept, in seconds. Queues have a sample every two seconds, functions
# and APIs several with each request; a Standard execution's history lasts 90 days on AWS,
# an Express one has none.
METRIC_RETENTION = 3600
FREQUENT_METRIC_RETENTION = 600
FREQUENT_METRICS = ("AWS/ApiGateway", "AWS/Lambda", "AWS/SQS")
LOG_RETENTION = 3600
# Longer than any client keeps an idle connection; in seconds.
IDLE_CONNECTION_LIMIT = 600
# How many answers Terraform may ask for again.
ANSWERS_KEPT = 2000
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
    """MiniStack's app, its patched modules with what runs functions, and its request scope;
    or a clear end where a pin and the patches disagree."""
    try:
        version = importlib.metadata.version("ministack")
        import ministack.app
        from ministack.core import iam_actions, lambda_runtime
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
    for name in ("ProvidedWorker", "_lock", "_workers", "kill_workers"):
        if not hasattr(lambda_runtime, name):
            missing.append(f"ministack.core.lambda_runtime.{name}")
    if not hasattr(getattr(lambda_runtime, "ProvidedWorker", None), "_drain_stderr_bounded"):
        missing.append("ministack.core.lambda_runtime.ProvidedWorker._drain_stderr_bounded")
    if not hasattr(iam_actions, "extract_iam_action"):
        missing.append("ministack.core.iam_actions.extract_iam_action")
    if missing:
        fail(f"ministack {version} lacks what is patched here: {', '.join(missing)}")
    services.update(runtime=lambda_runtime, iam_actions=iam_actions)
    return ministack.app, argparse.Namespace(**services), request_scope


def patch_idle_connections(config_class):
    """MiniStack sets the limit on each configuration it makes, so that no default would hold."""
    if not hasattr(config_class, "keep_alive_timeout"):
        fail("hypercorn's configuration has no keep_alive_timeout")
    config_class.keep_alive_timeout = property(lambda _: IDLE_CONNECTION_LIMIT, lambda _, limit: None)


def patch_repeats(app):
    serve, answers = app.app, collections.OrderedDict()

    async def answer(scope, receive):
        messages = []

        async def keep(message):
            messages.append(message)

        await serve(scope, receive, keep)
        return messages

    async def serve_once(scope, receive, send):
        headers = dict(scope.get("headers", ())) if scope["type"] == "http" else {}
        invocation = headers.get(b"amz-sdk-invocation-id")
        # What others lose is for them to find out: tests have replies lost on purpose.
        if not invocation or b"Terraform" not in headers.get(b"user-agent", b""):
            await serve(scope, receive, send)
            return
        if invocation not in answers:
            # A task of its own: it ends, whoever waits for it.
            answers[invocation] = asyncio.ensure_future(answer(scope, receive))
            if len(answers) > ANSWERS_KEPT:
                answers.popitem(last=False)
        try:
            messages = await asyncio.shield(answers[invocation])
            failed = not 200 <= messages[0]["status"] < 300
        except Exception:
            failed, messages = True, []
        if failed:
            # It is tried again in earnest.
            answers.pop(invocation, None)
        for message in messages:
            await send(message)

    app.app = serve_once


def patch_batches(iam_actions):
    """AWS page "Actions, resources, and condition keys for Amazon SQS"."""
    extract = iam_actions.extract_iam_action

    def extract_single(service, *request):
        action = extract(service, *request)
        return action.removesuffix("Batch") if service == "sqs" and action else action

    iam_actions.extract_iam_action = extract_single


def unread(stream):
    """How many bytes are in a pipe; none where it is closed."""
    try:
        return int.from_bytes(fcntl.ioctl(stream.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)
    except (AttributeError, OSError, ValueError):
        return 0


def patch_answers(worker_class):
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    collect = worker_class._drain_stderr_bounded

    def collect_what_is_there(worker, **waits):
        if waits:
            return collect(worker, **waits)
        # What a function wrote before it answered is in the pipe, or was read a moment ago.
        end = time.monotonic() + 0.25
        while worker._proc and unread(worker._proc.stdout) and time.monotonic() < end:
            time.sleep(0.001)
        return collect(worker, first_line_wait=0.005)

    worker_class._drain_stderr_bounded = collect_what_is_there


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
        if namespace in FREQUENT_METRICS:
            # There are many, in order of time, and the windows are short.
            since = time.time() - (alarm.get("EvaluationPeriods") or 1) * period_limit
            points = list(itertools.takewhile(lambda point: point["Timestamp"] > since, reversed(points)))
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


def schedule_context(arn, due):
    """What Scheduler tells of a schedule's run (AWS page "Adding context attributes")."""
    return {
        "schedule-arn": arn,
        "scheduled-time": datetime.fromtimestamp(due, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": secrets.token_hex(8),
        "attempt-number": "1",
    }


def with_context(text, context):
    """A schedule's input as Scheduler hands it on."""
    for name, value in context.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def undelivered_attributes(target, rule, context, code, message):
    """The attributes of the message that tells of an event which its target did not get (AWS pages
    "Using dead-letter queues to process undelivered events" and "Configuring a schedule's
    dead-letter queue")."""
    told = {"TARGET_ARN": target["Arn"], "ERROR_CODE": code, "ERROR_MESSAGE": message, "RETRY_ATTEMPTS": "0"}
    if context is None:
        return {"RULE_ARN": rule["Arn"], **told}
    return {
        "SCHEDULE_ARN": rule["Arn"], **told, "EXECUTION_ID": context["execution-id"],
        "SCHEDULED_TIME": context["scheduled-time"], "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "false",
    }


def patch_targets(scheduler, eventbridge, lambda_svc, sqs, stepfunctions):
    """Targets of rules and of schedules."""
    invoke = eventbridge._invoke_target
    to_queue, to_machine = eventbridge._dispatch_to_sqs, eventbridge._dispatch_to_stepfunctions
    delivery = contextvars.ContextVar("delivery")

    def invoke_in_context(target, event, rule, view=None):
        context = None
        # Rules have no such window; their inputs know no context attributes.
        if "FlexibleTimeWindow" in rule:
            due = due_time(rule["ScheduleExpression"], rule["CreationDate"], event["Time"], eventbridge)
            key = (event["Account"], event["Region"], f"{rule['GroupName']}/{rule['Name']}")
            scheduler._schedule_last_fired[key] = due
            context = schedule_context(rule["Arn"], due)
            if target.get("Input"):
                target = {**target, "Input": with_context(target["Input"], context)}
        token = delivery.set((target, rule, context))
        try:
            return invoke(target, event, rule, view)
        finally:
            delivery.reset(token)

    def bury(payload, scheduler_code, message):
        target, rule, context = delivery.get()
        log.warning("%s: %s", rule["Arn"], message)
        letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        code = "NO_RESOURCE" if context is None else scheduler_code
        attributes = undelivered_attributes(target, rule, context, code, message)
        # A schedule's letters are sent with its role, a rule's under the queue's policy.
        if letters and (context is not None or may_send(sqs, letters, "events.amazonaws.com", rule["Arn"])):
            send_letter(sqs, letters, payload, attributes)

    def dispatch_to_function(arn, payload):
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
        if not config:
            bury(payload, "ResourceNotFoundException", f"Function not found: {arn}")
            return
        lambda_svc.invoke_async_with_retry(
            lambda_svc._execution_record_for_config(function, config), json.loads(payload),
        )

    def dispatch_to_queue(spec, payload, parameters=None):
        if sqs._queue_by_arn(str(spec)) is None:
            bury(payload, "AWS.SimpleQueueService.NonExistentQueue", f"The specified queue does not exist: {spec}")
            return
        to_queue(spec, payload, parameters)

    def dispatch_to_machine(arn, payload):
        if stepfunctions._resolve_state_machine_arn(arn) is None:
            bury(payload, "StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
            return
        to_machine(arn, payload)

    eventbridge._invoke_target = invoke_in_context
    eventbridge._dispatch_to_lambda = dispatch_to_function
    eventbridge._dispatch_to_sqs = dispatch_to_queue
    eventbridge._dispatch_to_stepfunctions = dispatch_to_machine
    scheduler._SCHEDULE_TICK_INTERVAL = 1


def may_send(sqs, queue_arn, service, source_arn):
    """Whether a queue's policy lets a service send, for a resource."""
    return sqs.queue_policy_allows(queue_arn, service, source_arn, source_arn.split(":")[4])


def send_letter(sqs, queue_arn, body, attributes):
    """A dead letter, as a service sends it."""
    queue = sqs._queue_by_arn(queue_arn)
    if queue is None:
        log.warning("no queue %s for a dead letter", queue_arn)
        return
    now = time.time()
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    message = {
        "id": str(uuid.uuid4()), "body": body, "message_attributes": attributes,
        "md5_attrs": sqs._md5_msg_attrs(attributes), "sent_at": now, "visible_at": now + sqs.queue_delay(queue),
    }
    sqs._ensure_msg_fields(message)
    queue["messages"].append(message)


def patch_notifications(sns, lambda_svc, sqs):
    to_queue = sns._deliver_to_sqs

    def bury(topic_arn, endpoint, notification, code, message):
        log.warning("%s: %s", topic_arn, message)
        for subscription in sns._topic_by_arn_any_scope(topic_arn)["subscriptions"]:
            redrive = subscription["attributes"].get("RedrivePolicy")
            if subscription["endpoint"] != endpoint or not redrive:
                continue
            letters = json.loads(redrive)["deadLetterTargetArn"]
            if may_send(sqs, letters, "sns.amazonaws.com", topic_arn):
                send_letter(sqs, letters, notification, {
                    "RequestID": str(uuid.uuid4()), "ErrorCode": code, "ErrorMessage": message,
                })

    def deliver_to_queue(endpoint, envelope, raw, raw_message, **rest):
        topic_arn = rest["topic_arn"]
        notification = raw_message if raw else envelope
        if sqs._queue_by_arn(endpoint) is None:
            bury(
                topic_arn, endpoint, notification, "AWS.SimpleQueueService.NonExistentQueue",
                f"The specified queue does not exist: {endpoint}",
            )
        elif not may_send(sqs, endpoint, "sns.amazonaws.com", topic_arn):
            bury(topic_arn, endpoint, notification, "AccessDenied", f"Access to the resource {endpoint} is denied.")
        else:
            to_queue(endpoint, envelope, raw, raw_message, **rest)

    def deliver_to_function(endpoint, envelope, topic_arn, subscription_arn, *_):
        function, config, _ = lambda_svc._get_func_record_for_ref(endpoint)
        if not config:
            bury(topic_arn, endpoint, envelope, "ResourceNotFoundException", f"Function not found: {endpoint}")
            return
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(function, config), {
            "Records": [{
                "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription_arn,
                "Sns": json.loads(envelope),
            }],
        })

    sns._deliver_to_sqs = deliver_to_queue
    sns._deliver_to_lambda = deliver_to_function


def destination_record(function_arn, request, condition, attempts, event, result):
    """What Lambda tells of an event that a function did not take (AWS page "Capturing records of
    Lambda asynchronous invocations")."""
    if function_arn.count(":") == 6:
        function_arn += ":$LATEST"
    return {
        "version": "1.0",
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": request, "functionArn": function_arn, "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200, "executedVersion": "$LATEST",
            "functionError": result.get("function_error") or "Unhandled",
        },
        "responsePayload": result.get("body"),
    }


def patch_invocations(lambda_svc, cloudwatch, sqs, request_scope):
    dispatch, emit = lambda_svc._execute_function_dispatch, lambda_svc._emit_lambda_metrics
    # All tries of one event have one request id.
    request_of_event = contextvars.ContextVar("request_of_event", default=None)

    def dispatch_and_measure(function, config, event, request, started):
        began = time.time()
        result = dispatch(function, config, event, request_of_event.get() or request, started)
        dimensions = {"FunctionName": config["FunctionName"]}
        for name, value, unit in (
            ("Invocations", 1, "Count"),
            ("Errors", int(bool(result.get("error"))), "Count"),
            ("Throttles", 0, "Count"),
            ("Duration", (time.time() - began) * 1000, "Milliseconds"),
        ):
            cloudwatch.record_metric("AWS/Lambda", name, value, unit, dimensions)
        return result

    def emit_throttles(name, duration_ms, error, throttle):
        # What had no slot has no run that is measured above. It is told once without a duration.
        if throttle and not duration_ms:
            emit(name, duration_ms, error, throttle)

    def run(function, event):
        config = function.get("config") or function
        settings = (
            function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
        )
        retries = settings.get("MaximumRetryAttempts")
        retries = 2 if retries is None else int(retries)
        request = str(uuid.uuid4())
        request_of_event.set(request)
        end, attempts = time.monotonic() + int(settings.get("MaximumEventAgeInSeconds") or 21600), 0
        delay = lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS
        while True:
            result = lambda_svc._execute_function(function, event)
            if not result.get("error"):
                return
            if not result.get("throttle"):
                attempts += 1
                if attempts > retries:
                    condition = "RetriesExhausted"
                    break
            if time.monotonic() + delay > end:
                condition = "EventAgeExceeded"
                break
            time.sleep(delay)
            delay = min(2 * delay, lambda_svc._LAMBDA_ASYNC_RETRY_MAX_SECONDS)
        destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
        if destination:
            record = destination_record(config["FunctionArn"], request, condition, attempts, event, result)
            send_letter(sqs, destination, json.dumps(record), {})
        if letters:
            told = result.get("body") if isinstance(result.get("body"), dict) else {}
            send_letter(sqs, letters, json.dumps(event), {
                "RequestID": request, "ErrorCode": "200", "ErrorMessage": str(told.get("errorMessage"))[:1024],
            })

    def invoke(function, event):
        def scoped():
            account, region = lambda_svc._account_region_from_function_config(function.get("config") or function)
            with request_scope(account, region):
                run(function, event)

        threading.Thread(target=contextvars.copy_context().run, args=(scoped,), daemon=True).start()

    lambda_svc._execute_function_dispatch = dispatch_and_measure
    lambda_svc._emit_lambda_metrics = emit_throttles
    lambda_svc.invoke_async_with_retry = invoke


def patch_updates(lambda_svc, runtime):
    """Lets a run end whose function is changed meanwhile."""
    release = lambda_svc.release_worker

    def sparing(update):
        def update_idle(name, data):
            with runtime._lock:
                for key, workers in runtime._workers.items():
                    if key.split(":")[-2] == name:
                        for worker in workers:
                            worker.retired = worker.in_use
                        workers[:] = [worker for worker in workers if not worker.in_use]
            return update(name, data)

        return update_idle

    def release_and_retire(worker):
        release(worker)
        if getattr(worker, "retired", False):
            runtime.kill_workers([worker])

    lambda_svc._update_code = sparing(lambda_svc._update_code)
    lambda_svc._update_config = sparing(lambda_svc._update_config)
    lambda_svc.release_worker = release_and_retire


def patch_api(apigateway, cloudwatch):
    handle = apigateway._handle_execute_in_scope

    async def preflight(api_id, stage, path, method, headers, body, query, account, region, raw_query):
        path = "/" + path.lstrip("/")
        route = apigateway._match_route(api_id, method, path)
        integration = route and apigateway._integrations.get(api_id, {}).get(route["target"].split("/")[-1])
        if not integration:
            return 404, {"Content-Type": "application/json"}, b'{"message":"Not Found"}'
        return await apigateway._invoke_lambda_proxy(
            integration, api_id, stage, path, method, {name.lower(): value for name, value in headers.items()}, body,
            query, route["routeKey"], owner_account_id=account, owner_region=region, raw_query_string=raw_query,
        )

    async def handle_and_measure(api_id, stage, path, method, *rest):
        api, began = apigateway._apis.get(api_id), time.time()
        here = preflight if method == "OPTIONS" and api and not api.get("corsConfiguration") else handle
        answer = await here(api_id, stage, path, method, *rest)
        for name, value, unit in (
            ("Count", 1, "Count"),
            ("4xx", int(400 <= answer[0] < 500), "Count"),
            ("5xx", int(answer[0] >= 500), "Count"),
            ("Latency", (time.time() - began) * 1000, "Milliseconds"),
        ):
            cloudwatch.record_metric("AWS/ApiGateway", name, value, unit, {"ApiId": api_id})
        return answer

    apigateway._handle_execute_in_scope = handle_and_measure


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


def patch_metric_state(cloudwatch, scoped_dict):
    def get_state():
        metrics = scoped_dict()
        for (account, region, key), points in cloudwatch._metrics.all_items():
            if not key[0].startswith("AWS/"):
                metrics.set_scoped(account, region, key, copy.deepcopy(points))
        return {"metrics": metrics} | {
            name: copy.deepcopy(getattr(cloudwatch, f"_{name}")) for name in (
                "alarms", "composite_alarms", "composite_triggers", "alarm_history", "dashboards", "resource_tags",
            )
        }

    cloudwatch.get_state = get_state


def forget_the_old(services, now):
    """Drops what has been kept long enough."""
    for (_account, _region, (namespace, *_)), points in list(services.cloudwatch._metrics._data.items()):
        retention = FREQUENT_METRIC_RETENTION if namespace in FREQUENT_METRICS else METRIC_RETENTION
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
    patch_repeats(app)
    patch_batches(services.iam_actions)
    patch_answers(services.runtime.ProvidedWorker)
    patch_alarms(cloudwatch, args.alarm_period)
    patch_alarm_description(cloudwatch)
    patch_log_metrics(cloudwatch, services.cloudwatch_logs)
    patch_capacity_metrics(cloudwatch, services.dynamodb)
    patch_targets(services.scheduler, services.eventbridge, services.lambda_svc, services.sqs, stepfunctions)
    patch_notifications(services.sns, services.lambda_svc, services.sqs)
    patch_invocations(services.lambda_svc, cloudwatch, services.sqs, request_scope)
    patch_updates(services.lambda_svc, services.runtime)
    patch_api(services.apigateway, cloudwatch)
    patch_executions(stepfunctions)
    patch_table_state(services.dynamodb, type(services.dynamodb._tables))
    patch_metric_state(cloudwatch, type(cloudwatch._metrics))
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
