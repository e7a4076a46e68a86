import json
import unittest

from emulator import age_of_oldest, alarm_state, embedded_metrics, with_context

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


class Schedules(unittest.TestCase):
    def test_the_input_learns_its_time_and_nothing_else_changes(self):
        text = with_context('{"at":"<aws.scheduler.scheduled-time>","of":"<other>"}', "arn", 1767225660.9)
        self.assertEqual(json.loads(text), {"at": "2026-01-01T00:01:00Z", "of": "<other>"})

    def test_the_other_attributes_are_replaced_too(self):
        arn, first, attempt = with_context(
            "<aws.scheduler.schedule-arn> <aws.scheduler.execution-id> <aws.scheduler.attempt-number>", "arn", 0,
        ).split()
        self.assertEqual((arn, len(first), attempt), ("arn", 16, "1"))


if __name__ == "__main__":
    unittest.main()
