import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from bench_faucet import AMOUNT, SETTINGS, judge, latency, limit, plain, sustained
from faucet_chains import bech32


def claim(height, moment, status="paid"):
    return {"height": height, "updated_time": f"2026-01-01T00:00:{moment:06.3f}Z", "status": status}


# The moment that the claims' times count from.
ZERO = 1767225600


class Addresses(unittest.TestCase):
    def test_an_address_is_as_cosmjs_writes_it(self):
        self.assertEqual(
            bech32("cosmos", bytes.fromhex("bd92088bb7e82d611a9b94fbb74a0908152b784f")), "cosmos1hkfq3zahaqkkzx5mjnamwjsfpq2jk7z0emlrvp",
        )
        self.assertEqual(bech32("osmo", bytes(range(32))), "osmo1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0snqss8g")


class Rates(unittest.TestCase):
    def test_claims_are_counted_from_the_end_of_one_block_to_that_of_another(self):
        claims = [claim(height, height + tenth / 10) for height in range(1, 6) for tenth in (1, 2)]
        # Block 1 ends before, block 5 after it.
        found = sustained(claims, ZERO + 1.5, ZERO + 5)
        self.assertEqual(found[:3], (2, 4, 4))
        self.assertAlmostEqual(found[3], 2)

    def test_what_is_not_paid_counts_for_nothing(self):
        claims = [claim(1, 1), claim(2, 2), claim(3, 3, "sent")]
        self.assertEqual(sustained(claims, ZERO, ZERO + 9)[:3], (1, 2, 1))

    def test_one_block_is_no_rate(self):
        self.assertIsNone(sustained([claim(1, 1), claim(1, 2)], ZERO, ZERO + 9))

    def test_latency_runs_from_the_post_to_what_the_table_says(self):
        posted = {"a": ("x", ZERO + 1), "b": ("y", ZERO + 1), "c": ("z", ZERO)}
        claims = {"a": claim(1, 2), "b": claim(2, 3.5), "c": claim(2, 3, "sent")}
        found = latency(posted, claims, {"a", "b", "c"})
        self.assertEqual(found, {"p50_ms": 1000, "p99_ms": 2500, "max_ms": 2500, "claims": 2})

    def test_the_limit_is_the_window_or_who_is_busy(self):
        batched = SETTINGS[-1]
        self.assertEqual(limit(batched, 190, {"emulator": 1.0}), "window")
        self.assertEqual(limit(batched, 90, {"emulator": 0.95, "faucet": 0.2}), "emulator")
        self.assertEqual(limit(batched, 90, {"emulator": 0.5}), "calls")
        self.assertEqual(limit(batched, 90, {}), "calls")


class Verdict(unittest.TestCase):
    """Two claims in two payouts, each with a fee of 3."""

    def setUp(self):
        self.balances = {"payer": 10_000 - 2 * AMOUNT - 6, "x": AMOUNT, "y": AMOUNT}
        self.sequence = 2
        chain = SimpleNamespace(
            balance=lambda address: self.balances[address], fee=lambda _: 3, sequence=lambda _: self.sequence,
        )
        self.faucet = SimpleNamespace(
            chain=chain, account="payer", funded=10_000, posted={"a": ("x", 0), "b": ("y", 0)}, refused=Counter(),
        )
        self.claims = {"a": {"status": "paid"}, "b": {"status": "paid"}}
        self.payouts = [
            {"sequence": 0, "status": "paid", "hash": "0", "transfers": [{"claim_id": "a"}]},
            {"sequence": 1, "status": "paid", "hash": "1", "transfers": [{"claim_id": "b"}]},
        ]

    def faults(self):
        with ThreadPoolExecutor(1) as pool:
            found = judge(self.faucet, self.claims, self.payouts, pool)
        return {name for name, count in found.items() if count}

    def test_all_is_well(self):
        self.assertEqual(self.faults(), set())

    def test_a_claim_that_was_refused_or_is_not_paid(self):
        self.faucet.refused[503] += 1
        self.claims["a"]["status"] = "sent"
        self.assertEqual(self.faults(), {"refused", "unpaid"})

    def test_a_claim_that_nobody_made(self):
        self.claims["c"] = {"status": "paid"}
        self.assertEqual(self.faults(), {"unasked"})

    def test_a_claim_in_two_payouts_or_in_none(self):
        self.payouts[1]["transfers"] = [{"claim_id": "a"}]
        self.assertEqual(self.faults(), {"not_in_one_payout"})

    def test_a_payment_made_twice(self):
        self.balances["x"] += AMOUNT
        self.balances["payer"] -= AMOUNT
        self.assertEqual(self.faults(), {"wrong_balances", "account_off_by"})

    def test_a_sequence_that_is_skipped_or_used_by_another(self):
        self.payouts[1]["sequence"] = 2
        self.assertEqual(self.faults(), {"sequences_skipped"})
        self.payouts[1]["sequence"], self.sequence = 1, 3
        self.assertEqual(self.faults(), {"sequences_skipped"})

    def test_a_payout_that_failed(self):
        self.payouts[1]["status"] = "failed"
        self.assertEqual(self.faults(), {"unsettled_payouts", "not_in_one_payout"})


class Items(unittest.TestCase):
    def test_an_item_is_read_as_it_is_written(self):
        item = {"L": [{"M": {"claim_id": {"S": "a"}, "sequence": {"N": "7"}}}, {"BOOL": True}]}
        self.assertEqual(plain(item), [{"claim_id": "a", "sequence": 7}, True])


if __name__ == "__main__":
    unittest.main()
