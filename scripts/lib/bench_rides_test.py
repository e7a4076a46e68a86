import json
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest import mock
from urllib.parse import urlsplit

import bench_rides
from bench_rides import HIGHEST_RATE, Rides, all_answered, complete, judge_records, search


def run(rate, seconds, launched=None, replies=None, errors=None):
    expected = rate * seconds
    return {
        "rate": rate, "seconds": seconds, "launched": expected if launched is None else launched,
        "replies": {"201": expected} if replies is None else replies, "errors": errors or {},
    }


class Load(unittest.TestCase):
    def test_every_ride_must_be_launched_and_answered_201(self):
        self.assertTrue(all_answered(run(10, 180)))
        for changed in (
            {"launched": 1799}, {"replies": {"201": 1799}}, {"replies": {"201": 1800, "504": 1}}, {"replies": {}},
            {"errors": {"ETIMEDOUT": 1}},
        ):
            with self.subTest(changed):
                self.assertFalse(all_answered(run(10, 180, **changed)))


class Records(unittest.TestCase):
    def test_each_ride_that_was_answered_has_a_record_and_no_other(self):
        found = judge_records(["b", "c"], ["a"], ["a", "b", "c"])
        self.assertEqual(found, {"answered": 2, "records": 2, "missing": 0, "unasked": 0, "twice": 0})
        self.assertTrue(complete(found))

    def test_what_is_missing_not_asked_for_or_there_twice_is_told(self):
        for replies, records, fault in (
            (["b", "c"], ["a", "b"], "missing"),
            (["b"], ["a", "b", "c"], "unasked"),
            (["b", "b"], ["a", "b"], "twice"),
            (["b"], ["a", "b", "b"], "twice"),
        ):
            with self.subTest(fault):
                found = judge_records(replies, ["a"], records)
                self.assertEqual(found[fault], 1)
                self.assertFalse(complete(found))

    def test_a_table_is_read_to_its_end(self):
        rides = Rides({"region": "r", "name": "s", "rides": {"table": "t"}, "api_url": "http://a", "queues": {}}, "http://e")
        pages = [
            {"Items": [{"RideId": {"S": "a"}}], "LastEvaluatedKey": {"RideId": {"S": "a"}}},
            {"Items": [{"RideId": {"S": "b"}}]},
        ]
        with mock.patch.object(bench_rides, "call", side_effect=pages) as call:
            self.assertEqual(rides.records(), ["a", "b"])
        self.assertEqual(call.call_args.args[-1]["ExclusiveStartKey"], {"RideId": {"S": "a"}})


class Search(unittest.TestCase):
    def test_it_ends_between_a_rate_that_is_held_and_one_close_to_it_that_is_not(self):
        for limit in (1, 2, 19, 20, 21, 77, 80, 333, 4999):
            with self.subTest(limit):
                low, high = search(lambda rate: rate <= limit, 20)
                self.assertLessEqual(low, limit)
                self.assertGreater(high, limit)
                self.assertTrue(high - low == 1 or high <= low * 1.1)

    def test_what_holds_nothing_and_what_holds_everything_end_too(self):
        self.assertEqual(search(lambda rate: False, 20), (0, 1))
        self.assertEqual(search(lambda rate: True, 20), (HIGHEST_RATE, None))


class Pairs(unittest.TestCase):
    def test_the_ratio_is_of_each_pair_and_a_failed_one_counts_as_such(self):
        answers = iter([True, True, True, False, True, True])
        ended = SimpleNamespace(wait=mock.Mock(side_effect=[False, False, False, True]), set=lambda: None)
        rides = SimpleNamespace(
            connection=mock.Mock(), fleet_directly=lambda _: next(answers), fleet_through_gateway=lambda _: next(answers),
        )
        pairs = bench_rides.Pairs(rides)
        pairs.ended = ended
        pairs.run()
        pairs.join = lambda: None
        found = pairs.end()
        self.assertEqual((found["pairs"], found["failed"]), (2, 1))
        self.assertGreater(found["gateway_to_direct"], 0)


class Script(unittest.TestCase):
    def test_artillery_s_report_is_read_and_its_script_asks_for_rides(self):
        rides = SimpleNamespace(endpoint="http://127.0.0.1:1", api=urlsplit("http://api.test:1/stage"))
        report = {"aggregate": {
            "counters": {"vusers.created": 3, "http.codes.201": 2, "http.codes.504": 1, "errors.ETIMEDOUT": 1},
            "summaries": {"http.response_time": {"p50": 4, "p99": 9.5, "max": 10}},
        }}
        scripts = []

        def artillery(command, env, **_):
            script = command[-1]
            scripts.append(json.loads(script.read_text()))
            command[-2].write_text(json.dumps(report))
            with open(env["RIDES_FILE"], "a") as file:
                file.write("a\nb\n")
            return SimpleNamespace(returncode=0)

        with TemporaryDirectory() as scratch, mock.patch.object(bench_rides.subprocess, "run", side_effect=artillery):
            found, ids = bench_rides.load(rides, "artillery", 3, 1, Path(scratch))
        self.assertEqual(ids, ["a", "b"])
        self.assertEqual((found["launched"], found["replies"], found["errors"]), (3, {"201": 2, "504": 1}, {"ETIMEDOUT": 1}))
        self.assertEqual(found["latency"], {"p50_ms": 4, "p99_ms": 9.5, "max_ms": 10})
        (post,) = [step["post"] for step in scripts[0]["scenarios"][0]["flow"]]
        self.assertEqual((post["url"], post["headers"]), ("/stage/ride", {"Host": "api.test:1"}))


if __name__ == "__main__":
    unittest.main()
