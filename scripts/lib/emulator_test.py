import unittest

from emulator import age_of_oldest, alarm_state

NOW = 1_000_000.0


def largest(points):
    return max((point["Value"] for point in points), default=None)


def state(values, **alarm):
    """The state of an alarm on `> 0` over 10 s windows; `values` are (seconds ago, value)."""
    alarm = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0, "Period": 60} | alarm
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


if __name__ == "__main__":
    unittest.main()
