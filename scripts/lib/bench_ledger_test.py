import io
import struct
import unittest

from bench_ledger import MONTH_MINUTES, PRICES, SOAK_PROGRESS, costs, frames, gaps, latency, overlap, rate


def frame(text, first=0x81):
    payload = text.encode()
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
    return bytes([first]) + length + payload


class Streams(unittest.TestCase):
    def test_frames_are_read_whatever_their_length_and_pings_are_left_out(self):
        long, longer = "x" * 300, "y" * 70000
        sent = frame("a") + frame("ping", 0x89) + frame(long) + b"\x81\x7f" + struct.pack("!Q", 70000) + longer.encode() + b"\x81"
        self.assertEqual(list(frames(io.BytesIO(sent))), ["a", long, longer])


class Rates(unittest.TestCase):
    def test_a_rate_is_from_the_first_to_the_last(self):
        self.assertEqual(rate([3, 1, 2]), 1)
        self.assertIsNone(rate([1]))

    def test_latency_is_of_what_is_stored_and_recorded(self):
        class Stream:
            times = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}

        events = {"a": (1.1, 1.5), "b": (1.3, 2.0), "c": (1.2, None)}
        found = latency(Stream, events, ["a", "b", "c", "d"])
        self.assertEqual(found["events"], 2)
        self.assertEqual(found["stored"], {"p50_ms": 100, "p99_ms": 300, "max_ms": 300})
        self.assertEqual(found["recorded"], {"p50_ms": 500, "p99_ms": 1000, "max_ms": 1000})


class Handovers(unittest.TestCase):
    SEEN = [(7, 1, 10.0), (7, 1, 11.0), (8, 2, 11.4), (8, 2, 12.4), (0, 2, 12.6), (8, 3, 14.0)]

    def test_a_gap_is_from_one_holder_s_last_write_to_the_next_one_s_first(self):
        self.assertEqual(gaps(self.SEEN), {2: 400, 3: 1400})

    def test_two_runs_overlap_until_the_older_execution_has_ended(self):
        class Bridge:
            @staticmethod
            def ask(_service, _target, _version, body):
                return {"stopDate": {"first": 12.0, "second": 14.2}.get(body["executionArn"])}

        self.assertEqual(overlap(Bridge, ["first", "second", "third"], [2, 3], self.SEEN), 400)
        self.assertEqual(overlap(Bridge, ["third"], [2], self.SEEN), 0)


class Costs(unittest.TestCase):
    COUNTED = {
        "events": 100, "overlap_ms": 1000, "memory_mb": 256, "lease_writes_a_second": 1, "transitions": 3,
        "listen_log_bytes_a_second": 50, "alarms": 20, "secrets": 1, "webhook_ms": 20, "record_ms": 30, "record_runs": 50,
        "writes": 8, "reads": 4, "event_log_bytes": 1000,
    }

    def test_a_month_of_listening_is_ten_minutes_over_and_over(self):
        rows = {service: dollars for service, _, dollars in costs(self.COUNTED)["listening"]}
        runs = MONTH_MINUTES / 10
        self.assertAlmostEqual(rows["Lambda"], runs * (601 * 0.25 * PRICES["lambda_gb_second_x86_64"] + PRICES["lambda_request"]))
        self.assertAlmostEqual(rows["DynamoDB on demand"], MONTH_MINUTES * 60 * PRICES["dynamodb_write"])
        self.assertAlmostEqual(rows["Step Functions Standard"], runs * 3 * PRICES["standard_transition"])

    def test_an_event_takes_a_run_of_its_own_and_a_part_of_another(self):
        rows = {service: dollars for service, _, dollars in costs(self.COUNTED)["events"]}
        expected = 10**6 * (0.05 * 0.25 * PRICES["lambda_gb_second_x86_64"] + 1.5 * PRICES["lambda_request"])
        self.assertAlmostEqual(rows["Lambda"], expected)
        self.assertAlmostEqual(rows["CloudWatch Logs"], 0.5)


class Soak(unittest.TestCase):
    def test_progress_is_read_from_what_the_test_says(self):
        self.assertEqual(SOAK_PROGRESS.match("measured: soak: 300 made, 168 told of after 12 s").groups(), ("300", "168", "12"))
        self.assertIsNone(SOAK_PROGRESS.match('measured: soak: {"agrees": true}'))


if __name__ == "__main__":
    unittest.main()
