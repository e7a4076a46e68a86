"""MiniStack, plus the five things this suite needs that MiniStack 1.5.33 lacks.

1. Queue metrics. AWS publishes AWS/SQS metrics of every queue; MiniStack publishes
   none, so no alarm on a dead-letter queue could fire.
2. Alarms that look at their own dimensions. MiniStack evaluates an alarm over all
   series of its metric name, so one full queue would fire the alarm of every queue.
3. All of an alarm's fields in the XML answer that Terraform's provider reads;
   MiniStack leaves most out, and each plan would set every alarm anew.
4. Snapshots. MiniStack saves its state when it is asked to stop and at no other
   time; here it is saved every few seconds too, so that `kill -9` or a power cut
   costs seconds; SIGUSR1 asks for one now. MiniStack replaces each file atomically.
5. Executions that outlive a restart. AWS would go on with them; MiniStack declares
   them failed. Here they begin again, which the suite's machines are made for.

The environment starts empty: no credentials, profile or proxy of the user reaches
the functions, which inherit it.
"""

import argparse
import asyncio
import contextlib
import importlib.metadata
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from xml.sax.saxutils import escape

MINISTACK_VERSION = "1.5.33"
# What the patches below read or replace, by module of ministack.services.
PATCHED = {
    "cloudwatch": (
        "_alarms", "_metrics", "_evaluate_alarm", "_evaluate_all_alarms", "_calc_stats",
        "_stat_value", "_dims_key", "_dims_from_list", "_record_history",
        "_dispatch_alarm_actions", "_evaluate_parent_alarms", "_describe_alarms", "record_metric",
    ),
    "sqs": ("_queues", "_refresh_counts"),
    "stepfunctions": ("_executions", "_start_execution"),
}
# Metrics older than this are dropped: two weeks of samples would fill the memory.
METRIC_RETENTION_SECONDS = 3600
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
    parser.add_argument("--metrics-every", type=float, default=2, metavar="SECONDS")
    parser.add_argument("--snapshot-every", type=float, default=15, metavar="SECONDS")
    parser.add_argument(
        "--alarm-period", type=float, default=10, metavar="SECONDS",
        help="upper limit of an alarm's period, so that it returns to OK without a minute's wait",
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
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{args.port}",
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
    """The patched modules, or a clear end where a pin and the patches disagree."""
    try:
        version = importlib.metadata.version("ministack")
        import ministack.app
        import ministack.services.cloudwatch
        import ministack.services.sqs
        import ministack.services.stepfunctions
        from ministack.core.responses import request_scope
    except ImportError as error:
        fail(f"ministack does not import ({error}): remove .venv and run the command again")
    if version != MINISTACK_VERSION:
        fail(f"these patches are for ministack {MINISTACK_VERSION}, found {version}: see scripts/requirements/local.txt")
    services = ministack.services
    missing = [
        f"ministack.services.{module}.{name}"
        for module, names in PATCHED.items()
        for name in names
        if not hasattr(getattr(services, module), name)
    ]
    for name in ("_run_ready_scripts", "_build_persistence_save_dict", "save_all", "main"):
        if not hasattr(ministack.app, name):
            missing.append(f"ministack.app.{name}")
    if missing:
        fail(f"ministack {version} lacks what is patched here: {', '.join(missing)}")
    return ministack.app, services.cloudwatch, services.sqs, services.stepfunctions, request_scope


def alarm_state(alarm, points, statistic, period_limit, now):
    """(state, reason) of an alarm over the points of its own series, or None to leave it as it is.

    The last EvaluationPeriods windows are judged one by one; DatapointsToAlarm of
    them must breach. A window without points counts as TreatMissingData says.
    """
    compare = COMPARISONS.get(alarm.get("ComparisonOperator"))
    if compare is None:
        return None
    period = min(alarm.get("Period") or 60, period_limit)
    windows = alarm.get("EvaluationPeriods") or 1
    needed = alarm.get("DatapointsToAlarm") or windows
    threshold = alarm.get("Threshold", 0)
    missing_as = alarm.get("TreatMissingData") or "missing"
    values, breaching = [], 0
    for index in range(windows):
        end = now - index * period
        value = statistic([p for p in points if end - period < p["Timestamp"] <= end])
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
    describe = cloudwatch._describe_alarms
    member = re.compile(r"(<member><AlarmName>([^<]*)</AlarmName>.*?)(</member>)", re.DOTALL)

    def complete(match):
        alarm = cloudwatch._alarms.get(match[2])
        return match[1] + (alarm_fields(alarm) if alarm else "") + match[3]

    def describe_all(params, data, is_cbor, is_json=False):
        status, headers, body = describe(params, data, is_cbor, is_json)
        if status == 200 and not is_cbor and not is_json:
            body = member.sub(complete, body.decode()).encode()
        return status, headers, body

    cloudwatch._describe_alarms = describe_all


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
    for points in list(cloudwatch._metrics._data.values()):
        while points and points[0]["Timestamp"] < now - METRIC_RETENTION_SECONDS:
            points.pop(0)
    for account, region in scopes:
        with request_scope(account, region):
            cloudwatch._evaluate_all_alarms()


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
    """Run a step every so many seconds, and at once where it is wanted."""
    wanted = wanted or asyncio.Event()
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(wanted.wait(), every)
        wanted.clear()
        try:
            await step()
        except Exception:
            log.exception("%s failed", step.__name__)


def main():
    args = parse_arguments()
    with contextlib.suppress(OSError):
        os.setsid()  # Ctrl-C at the terminal that started it stays there
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    set_environment(args)
    app, cloudwatch, sqs, stepfunctions, request_scope = load_services()
    logging.getLogger("persistence").setLevel(logging.WARNING)
    patch_alarms(cloudwatch, args.alarm_period)
    patch_alarm_description(cloudwatch)
    save_all, run_ready_scripts = app.save_all, app._run_ready_scripts
    saving = threading.Lock()

    def save_alone(services):
        # The last save at the end must not meet a snapshot in the same file.
        with saving:
            save_all(services)

    async def publish():
        publish_metrics(cloudwatch, sqs, request_scope)

    async def snapshot():
        # A thread, so that requests go on; a service that changes under the copy
        # keeps its previous file until the next round.
        await asyncio.to_thread(save_alone, app._build_persistence_save_dict())

    async def run_after_start():
        app._run_ready_scripts = run_ready_scripts  # a reset calls it again
        wanted = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, wanted.set)
        await run_ready_scripts()
        resume_executions(stepfunctions, request_scope)
        await asyncio.gather(forever(publish, args.metrics_every), forever(snapshot, args.snapshot_every, wanted))

    app.save_all = save_alone
    app._run_ready_scripts = run_after_start
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
