import asyncio
import contextlib
import json
import os
import queue
import unittest
from types import SimpleNamespace

from emulator import (
    age_of_oldest, alarm_state, destination_record, embedded_metrics, patch_api, patch_invocations,
    patch_notifications, patch_repeats, patch_targets, schedule_context, send_letter, undelivered_attributes, unread, with_context,
)

NOW = 1_000_000.0


def largest(points):
    return max((point["Value"] for point in points), default=None)


def state(values, **alarm):
    """The state of an alarm on `> 0` over 10 s windows; `values` are (seconds ago, value)."""
    alarm = {
        "Namespace": "AWS/SQS", "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0, "Period": 60,
    } | alarm
    points = [{"Timestamp": NOW - ago, "Value": value} for ago, value in values]
    outcome = alarm_state(alarm, points, largest, 10, NOW)
    return outcome and outcome[0]


class Repeats(unittest.TestCase):
    def asked(self, agent, statuses):
        """What each of two attempts of one call was answered, and how often it was made."""
        made = []

        async def app(scope, receive, send):
            made.append(scope)
            await send({"type": "http.response.start", "status": statuses[len(made) - 1]})
            await send({"type": "http.response.body", "body": b"%d" % len(made)})

        module = SimpleNamespace(app=app)
        patch_repeats(module)
        scope = {"type": "http", "headers": [(b"user-agent", agent), (b"amz-sdk-invocation-id", b"one")]}

        async def ask():
            answer = []

            async def send(message):
                answer.append(message.get("status", message.get("body")))

            await module.app(scope, None, send)
            return answer

        async def twice():
            return [await ask(), await ask()]

        return asyncio.run(twice()), len(made)

    def test_terraform_is_told_again_what_became_of_a_call(self):
        self.assertEqual(self.asked(b"APN/1.0 Terraform/1.11", [200]), ([[200, b"1"]] * 2, 1))

    def test_what_failed_is_made_again(self):
        self.assertEqual(self.asked(b"APN/1.0 Terraform/1.11", [500, 200]), ([[500, b"1"], [200, b"2"]], 2))

    def test_others_make_their_calls_twice(self):
        self.assertEqual(self.asked(b"aws-sdk-rust", [200, 409]), ([[200, b"1"], [409, b"2"]], 2))


class AlarmState(unittest.TestCase):
    def test_a_breach_in_the_last_window_alarms(self):
        self.assertEqual(state([(1, 0), (5, 2)]), "ALARM")
        self.assertEqual(state([(1, 0), (11, 2)]), "OK")

    def test_as_many_windows_must_breach_as_datapoints_to_alarm_says(self):
        last_two = [(1, 1), (11, 1), (21, 0)]
        self.assertEqual(state(last_two, EvaluationPeriods=3), "OK")
        self.assertEqual(state(last_two, EvaluationPeriods=3, DatapointsToAlarm=2), "ALARM")

    def test_no_data_counts_as_the_alarm_says(self):
        for treatment, expected in (
            ("missing", "INSUFFICIENT_DATA"),
            ("notBreaching", "OK"),
            ("breaching", "ALARM"),
            ("ignore", None),
        ):
            with self.subTest(treatment):
                self.assertEqual(state([], TreatMissingData=treatment), expected)

    def test_the_suite_s_own_metrics_are_judged_over_the_alarm_s_period(self):
        self.assertEqual(state([(59, 2)], Namespace="offchain/oracle"), "ALARM")
        self.assertEqual(state([(71, 2)], Namespace="offchain/oracle", TreatMissingData="notBreaching"), "OK")

    def test_a_point_that_comes_a_little_late_is_not_missing(self):
        alarm = {"Namespace": "offchain/oracle", "TreatMissingData": "breaching"}
        self.assertEqual(state([(65, 0)], **alarm), "OK")
        self.assertEqual(state([(71, 0)], **alarm), "ALARM")

    def test_an_unknown_comparison_changes_nothing(self):
        self.assertIsNone(state([(1, 1)], ComparisonOperator="GreaterThanUpperThreshold"))


class AgeOfOldest(unittest.TestCase):
    def test_an_empty_queue_has_no_age(self):
        self.assertEqual(age_of_oldest([], NOW), 0)

    def test_the_oldest_message_counts(self):
        self.assertEqual(age_of_oldest([{"sent_at": NOW - 5}, {"sent_at": NOW - 9}], NOW), 9)

    def test_a_dead_letter_ages_from_its_move(self):
        letter = {"sent_at": NOW - 500, "sys": {"DeadLetterQueueSourceArn": "arn"}}
        self.assertEqual(age_of_oldest([letter], NOW), 0)
        self.assertEqual(age_of_oldest([letter], NOW + 7), 7)


def line(**changes):
    """A log line in the embedded metric format."""
    return json.dumps({
        "_aws": {
            "Timestamp": 1767225600500,
            "CloudWatchMetrics": [{
                "Namespace": "offchain/oracle",
                "Dimensions": [["Suite", "Feed"], []],
                "Metrics": [{"Name": "Lateness", "Unit": "Milliseconds"}, {"Name": "Missed"}],
            }],
        },
        "Suite": "offchain", "Feed": "demo", "Lateness": [1, 2.5], "Missed": 0,
    } | changes)


class EmbeddedMetrics(unittest.TestCase):
    def test_each_metric_is_there_once_for_each_set_of_dimensions(self):
        both = {"Suite": "offchain", "Feed": "demo"}
        self.assertEqual(embedded_metrics(line()), [
            ("offchain/oracle", "Lateness", "Milliseconds", both, 1767225600.5, [1, 2.5]),
            ("offchain/oracle", "Missed", "None", both, 1767225600.5, [0]),
            ("offchain/oracle", "Lateness", "Milliseconds", {}, 1767225600.5, [1, 2.5]),
            ("offchain/oracle", "Missed", "None", {}, 1767225600.5, [0]),
        ])

    def test_other_lines_hold_none(self):
        for other in (
            "START RequestId: 1", '{"level":"INFO"}', '{"_aws', '{"_aws":null}', line(Feed=7), line(Lateness="1"),
            line(Lateness=[1] * 101), line(Missed=True), line(_aws={"Timestamp": 1}),
        ):
            with self.subTest(other):
                self.assertEqual(embedded_metrics(other), [])


class Targets(unittest.TestCase):
    def fire(self, rule, queues):
        """Fires a rule or a schedule whose function is not there."""
        eventbridge = SimpleNamespace(
            _invoke_target=lambda target, event, rule, view: eventbridge._dispatch_to_lambda(target["Arn"], target["Input"]),
            _dispatch_to_sqs=None, _dispatch_to_stepfunctions=None, _parse_rate_seconds=lambda expression: 60,
        )
        lambda_svc = SimpleNamespace(_get_func_record_for_ref=lambda arn: (None, None, arn))
        scheduler = SimpleNamespace(_schedule_last_fired={})
        patch_targets(scheduler, eventbridge, lambda_svc, queues, SimpleNamespace())
        target = {
            "Arn": "gone", "Input": '{"id":"<aws.scheduler.execution-id>"}', "DeadLetterConfig": {"Arn": "dlq"},
        }
        with self.assertLogs("offchain.emulator", "WARNING"):
            eventbridge._invoke_target(target, {"Time": 120, "Account": "1", "Region": "r"}, rule)
        return queues.messages["dlq"]

    def test_an_event_of_a_rule_whose_function_is_gone_is_a_dead_letter_where_the_queue_lets_it(self):
        rule = {"Arn": "arn:aws:events:r:1:rule/x"}
        (letter,) = self.fire(rule, Queues("dlq"))
        self.assertEqual(letter["message_attributes"]["ERROR_CODE"]["StringValue"], "NO_RESOURCE")
        self.assertEqual(self.fire(rule, Queues("dlq", refused=("dlq",))), [])

    def test_a_schedule_s_is_one_with_its_run_s_id(self):
        schedule = {
            "Arn": "arn:aws:scheduler:r:1:schedule/g/x", "FlexibleTimeWindow": {}, "GroupName": "g", "Name": "x",
            "ScheduleExpression": "rate(1 minute)", "CreationDate": 0,
        }
        (letter,) = self.fire(schedule, Queues("dlq", refused=("dlq",)))
        run = letter["message_attributes"]["EXECUTION_ID"]["StringValue"]
        self.assertEqual(json.loads(letter["body"]), {"id": run})
        self.assertEqual(letter["message_attributes"]["ERROR_CODE"]["StringValue"], "ResourceNotFoundException")


class Api(unittest.TestCase):
    def answer(self, method, cors, route):
        async def proxy(integration, api, stage, path, method, headers, *_, **rest):
            return 204, {}, f"{integration} {method} {path} {headers}"

        async def handle(*_):
            return 403, {}, b"not routed"

        metrics = []
        apigateway = SimpleNamespace(
            _apis={"api": {"corsConfiguration": cors}}, _integrations={"api": {"i": "function"}},
            _match_route=lambda api, method, path: route, _invoke_lambda_proxy=proxy, _handle_execute_in_scope=handle,
        )
        patch_api(apigateway, SimpleNamespace(record_metric=lambda space, name, value, *_: metrics.append((name, value))))
        status, _, body = asyncio.run(apigateway._handle_execute_in_scope(
            "api", "$default", "//ride", method, {"Origin": "o"}, b"", {}, "1", "r", None,
        ))
        return status, body, dict(metrics)

    def test_a_route_answers_a_preflight_request_where_the_api_has_no_settings(self):
        route = {"routeKey": "OPTIONS /ride", "target": "integrations/i"}
        status, body, metrics = self.answer("OPTIONS", {}, route)
        self.assertEqual((status, body), (204, "function OPTIONS /ride {'origin': 'o'}"))
        self.assertEqual((metrics["Count"], metrics["4xx"], metrics["5xx"]), (1, 0, 0))
        self.assertEqual(self.answer("OPTIONS", {}, None)[0], 404)
        self.assertEqual(self.answer("OPTIONS", {"allowOrigins": ["*"]}, route)[:2], (403, b"not routed"))

    def test_each_answer_is_measured(self):
        metrics = self.answer("GET", {}, None)[2]
        self.assertEqual((metrics["Count"], metrics["4xx"], metrics["5xx"]), (1, 1, 0))


class Unread(unittest.TestCase):
    def test_what_is_in_a_pipe_is_counted_and_a_closed_one_has_nothing(self):
        reader, writer = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb")))
        with writer:
            self.assertEqual(unread(reader), 0)
            writer.write(b"line\n")
            writer.flush()
            self.assertEqual(unread(reader), 5)
        reader.close()
        self.assertEqual((unread(reader), unread(None)), (0, 0))


class Schedules(unittest.TestCase):
    def test_the_input_learns_its_time_and_nothing_else_changes(self):
        context = schedule_context("arn", 1767225660.9)
        text = with_context('{"at":"<aws.scheduler.scheduled-time>","of":"<other>"}', context)
        self.assertEqual(json.loads(text), {"at": "2026-01-01T00:01:00Z", "of": "<other>"})

    def test_the_other_attributes_are_replaced_too(self):
        arn, first, attempt = with_context(
            "<aws.scheduler.schedule-arn> <aws.scheduler.execution-id> <aws.scheduler.attempt-number>",
            schedule_context("arn", 0),
        ).split()
        self.assertEqual((arn, len(first), attempt), ("arn", 16, "1"))

    def test_each_run_has_an_id_of_its_own(self):
        ids = {schedule_context("arn", 0)["execution-id"] for _ in range(100)}
        self.assertEqual(len(ids), 100)


class Undelivered(unittest.TestCase):
    target, rule = {"Arn": "target"}, {"Arn": "source"}

    def test_a_rule_s_letter_names_the_rule_and_no_retry_condition(self):
        self.assertEqual(undelivered_attributes(self.target, self.rule, None, "NO_RESOURCE", "gone"), {
            "RULE_ARN": "source", "TARGET_ARN": "target", "ERROR_CODE": "NO_RESOURCE", "ERROR_MESSAGE": "gone",
            "RETRY_ATTEMPTS": "0",
        })

    def test_a_schedule_s_letter_names_the_schedule_and_the_run(self):
        context = schedule_context("source", 1767225660)
        told = undelivered_attributes(self.target, self.rule, context, "ResourceNotFoundException", "gone")
        self.assertNotIn("RULE_ARN", told)
        self.assertEqual(
            (told["SCHEDULE_ARN"], told["TARGET_ARN"], told["EXECUTION_ID"], told["SCHEDULED_TIME"]),
            ("source", "target", context["execution-id"], "2026-01-01T00:01:00Z"),
        )
        self.assertEqual(told["EXHAUSTED_RETRY_CONDITION"], "MaximumRetryAttempts")


class Queues:
    """Queues as the patches see them: each that is made is there, and takes everything but of those refused."""

    def __init__(self, *arns, refused=()):
        self.messages = {arn: [] for arn in arns}
        self.refused = refused

    def _queue_by_arn(self, arn):
        return {"messages": self.messages[arn]} if arn in self.messages else None

    def queue_policy_allows(self, arn, service, source_arn, account):
        return arn in self.messages and arn not in self.refused

    def queue_delay(self, queue):
        return 0

    def _ensure_msg_fields(self, message):
        message["ready"] = True

    def _md5_msg_attrs(self, attributes):
        return "md5"


class Letters(unittest.TestCase):
    def test_a_letter_has_its_attributes_as_text(self):
        queues = Queues("dlq")
        send_letter(queues, "dlq", "body", {"ErrorCode": "Gone"})
        (letter,) = queues.messages["dlq"]
        self.assertEqual((letter["body"], letter["ready"]), ("body", True))
        self.assertEqual(letter["message_attributes"], {"ErrorCode": {"DataType": "String", "StringValue": "Gone"}})

    def test_a_queue_that_is_not_there_takes_none(self):
        with self.assertLogs("offchain.emulator", "WARNING"):
            send_letter(Queues(), "dlq", "body", {})


class Told(list):
    """A queue's messages; each that comes is told of."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    def append(self, message):
        super().append(message)
        self.told.put(message)


class Invocations(unittest.TestCase):
    arn = "arn:aws:lambda:us-east-1:123456789012:function:recorder"

    def invoke(self, results, letters, **settings):
        """Invokes a function whose runs end so; the events of its runs, and (metric, value) of those."""
        runs, metrics, ended = [], [], queue.Queue()
        results = iter(results)

        def dispatch(function, config, event, request, started):
            runs.append((event, request))
            return next(results)

        def execute(function, event):
            result = lambda_svc._execute_function_dispatch(function, function["config"], event, f"r{len(runs)}", 0)
            if not result.get("error"):
                ended.put(None)
            return result

        lambda_svc = SimpleNamespace(
            _execute_function_dispatch=dispatch, _execute_function=execute, _emit_lambda_metrics=None,
            _LAMBDA_ASYNC_RETRY_BASE_SECONDS=0, _LAMBDA_ASYNC_RETRY_MAX_SECONDS=0,
            _account_region_from_function_config=lambda config: ("123456789012", "us-east-1"),
        )
        cloudwatch = SimpleNamespace(record_metric=lambda space, name, value, *_: metrics.append((name, value)))
        queues = Queues("dlq")
        queues.messages["dlq"] = Told(ended)
        patch_invocations(lambda_svc, cloudwatch, queues, lambda *_: contextlib.nullcontext())
        config = {"FunctionName": "recorder", "FunctionArn": self.arn} | letters
        lambda_svc.invoke_async_with_retry({"config": config, "event_invoke_config": settings}, {"a": 1})
        ended.get(timeout=5)
        return runs, metrics, queues.messages["dlq"]

    failed = {"error": True, "body": {"errorType": "StoreUnavailable", "errorMessage": "no table"}}
    destination = {"DestinationConfig": {"OnFailure": {"Destination": "dlq"}}}

    def test_an_event_is_tried_three_times_with_one_request_id_and_then_told_of(self):
        runs, metrics, (letter,) = self.invoke([self.failed] * 3, {}, **self.destination)
        self.assertEqual(len(runs), 3)
        self.assertEqual(len({request for _, request in runs}), 1)
        record = json.loads(letter["body"])
        self.assertEqual(record["requestContext"], {
            "requestId": runs[0][1], "functionArn": f"{self.arn}:$LATEST", "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        })
        self.assertEqual((record["requestPayload"], record["responsePayload"]), ({"a": 1}, self.failed["body"]))
        self.assertEqual(sum(value for name, value in metrics if name == "Errors"), 3)

    def test_the_function_s_own_number_of_retries_counts(self):
        runs, _, (letter,) = self.invoke([self.failed], {}, MaximumRetryAttempts=0, **self.destination)
        self.assertEqual(len(runs), 1)
        self.assertEqual(json.loads(letter["body"])["requestContext"]["approximateInvokeCount"], 1)

    def test_a_run_that_ends_well_is_the_last_and_a_throttled_one_is_no_try(self):
        throttled = {"error": True, "throttle": True}
        runs, _, letters = self.invoke([self.failed] + [throttled] * 5 + [self.failed, {"body": {}}], {})
        self.assertEqual((len(runs), letters), (8, []))

    def test_a_dead_letter_queue_gets_the_event_itself(self):
        _, _, (letter,) = self.invoke([self.failed] * 3, {"DeadLetterConfig": {"TargetArn": "dlq"}})
        self.assertEqual(letter["body"], '{"a": 1}')
        self.assertEqual(letter["message_attributes"]["ErrorMessage"]["StringValue"], "no table")

    def test_a_version_keeps_its_qualifier(self):
        record = destination_record(f"{self.arn}:7", "id", "EventAgeExceeded", 2, {}, {})
        self.assertEqual(record["requestContext"]["functionArn"], f"{self.arn}:7")


class Notifications(unittest.TestCase):
    topic = "arn:aws:sns:us-east-1:123456789012:rides"

    def patched(self, queues, endpoint):
        self.delivered, self.invoked = [], []
        subscription = {"endpoint": endpoint, "attributes": {"RedrivePolicy": '{"deadLetterTargetArn":"dlq"}'}}
        sns = SimpleNamespace(
            _topic_by_arn_any_scope=lambda arn: {"subscriptions": [subscription]},
            _deliver_to_sqs=lambda *delivery, **rest: self.delivered.append(delivery), _deliver_to_lambda=None,
        )
        lambda_svc = SimpleNamespace(
            _get_func_record_for_ref=lambda arn: ({}, {"FunctionArn": arn}, arn) if arn == "here" else (None, None, arn),
            _execution_record_for_config=lambda function, config: config,
            invoke_async_with_retry=lambda function, event: self.invoked.append(event),
        )
        patch_notifications(sns, lambda_svc, queues)
        return sns

    def test_a_function_that_is_there_is_invoked_asynchronously(self):
        queues = Queues("dlq")
        self.patched(queues, "here")._deliver_to_lambda("here", '{"Message":"m"}', self.topic, "subscription", "id", "m", {})
        self.assertEqual(self.invoked, [{"Records": [{
            "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "subscription",
            "Sns": {"Message": "m"},
        }]}])
        self.assertEqual(queues.messages["dlq"], [])

    def test_the_notification_for_one_that_is_gone_is_a_dead_letter_of_the_subscription(self):
        queues = Queues("dlq")
        with self.assertLogs("offchain.emulator", "WARNING"):
            self.patched(queues, "gone")._deliver_to_lambda("gone", '{"Message":"m"}', self.topic, "subscription", "id", "m", {})
        (letter,) = queues.messages["dlq"]
        self.assertEqual(letter["body"], '{"Message":"m"}')
        self.assertEqual(letter["message_attributes"]["ErrorCode"]["StringValue"], "ResourceNotFoundException")
        self.assertEqual(self.invoked, [])

    def test_so_it_is_for_a_queue_that_is_gone_or_keeps_sns_out(self):
        for queues, delivered, code in (
            (Queues("dlq", "queue"), 1, None),
            (Queues("dlq"), 0, "AWS.SimpleQueueService.NonExistentQueue"),
            (Queues("dlq", "queue", refused=("queue",)), 0, "AccessDenied"),
        ):
            with self.subTest(code):
                with self.assertLogs("offchain.emulator") if code else contextlib.nullcontext():
                    self.patched(queues, "queue")._deliver_to_sqs("queue", "{}", False, "m", topic_arn=self.topic)
                self.assertEqual(len(self.delivered), delivered)
                codes = [letter["message_attributes"]["ErrorCode"]["StringValue"] for letter in queues.messages["dlq"]]
                self.assertEqual(codes, [code] if code else [])

    def test_a_dead_letter_queue_that_keeps_sns_out_gets_nothing(self):
        queues = Queues("dlq", refused=("dlq",))
        with self.assertLogs("offchain.emulator", "WARNING"):
            self.patched(queues, "gone")._deliver_to_sqs("gone", "{}", False, "m", topic_arn=self.topic)
        self.assertEqual(queues.messages["dlq"], [])


if __name__ == "__main__":
    unittest.main()
