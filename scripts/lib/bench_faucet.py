"""Pay claims from one account of each chain, unbatched and batched; tell how many a second, and how soon each.

Each setting has a faucet of its own (`offchain faucet serve`), with an account and tables
of its own, one after the other on the same chain. First claims come faster than they are
paid; what blocks take meanwhile is the rate. Then claims come at random at half of that
rate; how long each takes is the latency. When a claim is paid, its item in the table
says: nobody who asks for it slows the others down. In the end every claim must be paid
once, and the chain's balances must add up.

"Faster than they are paid" is so many claims that are not told as paid yet: three windows
of them, one in the tables, one on the chain, one between. More would only keep the tables
busy with new claims in place of old ones.
"""

import argparse
import json
import os
import random
import secrets
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_oracle import note, seconds, spread
from faucet_chains import Anvil, CosmosNode, Door
from probe import call

SETTINGS = (
    # The original's way: each claim waits for the block of the one before.
    {"name": "unbatched, 1 in flight", "batch": 1, "in_flight": 1},
    {"name": "unbatched, 4 in flight", "batch": 1, "in_flight": 4},
    {"name": "batched, 4 in flight", "batch": 50, "in_flight": 4},
)
TARGET_RATIO = 10
BLOCK_SECONDS = 1
# What a claim is paid, in the smallest unit.
AMOUNT = 1000
# So many callers at once; how many windows of claims are under way under full load, and
# how often it is looked whether they are.
CALLERS = 8
WINDOWS = 3
LOOK_EVERY = 0.25
# The part of a load that is left out at its beginning.
SETTLING = 0.2
# How long what waits may take to be paid once nothing more comes.
DRAINED_WITHIN = 180
POLL = "250ms"
# What holds a rate down: so full a window in each block, or so busy a core, or machine.
FULL_WINDOW, BUSY = 0.9, 0.85


class Tables:
    """A faucet's tables in the stack's emulator, made as the stack's own are."""

    def __init__(self, stack, endpoint, name):
        self.region, self.endpoint, self.environment = stack["region"], endpoint, {}
        faucet = stack["faucet"]
        for variable, table in (
            ("FAUCET_TABLE", faucet["table"]), ("FAUCET_LIMITS_TABLE", faucet["limits_table"]),
            ("FAUCET_LOCKS_TABLE", faucet["locks_table"]), ("FAUCET_PAYOUTS_TABLE", faucet["payouts_table"]),
        ):
            self.environment[variable] = self.like(table, f"{table}-{name}")
        self.claims, self.payouts = self.environment["FAUCET_TABLE"], self.environment["FAUCET_PAYOUTS_TABLE"]

    def ask(self, action, body, service="dynamodb", target="DynamoDB_20120810", version="1.0"):
        for _ in range(3):
            answer = call(self.endpoint, self.region, service, f"{target}.{action}", version, body)
            if answer is not None:
                return answer
            time.sleep(1)
        raise OSError(f"{action} failed")

    def like(self, model, name):
        """A new table with another's keys and indexes."""
        table = self.ask("DescribeTable", {"TableName": model})["Table"]
        indexes = [
            {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
            for index in table.get("GlobalSecondaryIndexes", [])
        ]
        self.ask("CreateTable", {
            "TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": table["KeySchema"],
            "AttributeDefinitions": table["AttributeDefinitions"],
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        })
        return name

    def make_secret(self, name, value):
        body = {"Name": name, "SecretString": json.dumps(value), "ClientRequestToken": secrets.token_hex(16)}
        return self.ask("CreateSecret", body, "secretsmanager", "secretsmanager", "1.1")["ARN"]

    def scan(self, table, members):
        """What is in these members of all items: text, numbers and lists as they are written."""
        names = {f"#{index}": name for index, name in enumerate(members)}
        body = {
            "TableName": table, "ProjectionExpression": ",".join(names), "ExpressionAttributeNames": names,
            "ConsistentRead": True,
        }
        items, page = [], {}
        while True:
            page = self.ask("Scan", body | ({"ExclusiveStartKey": page["LastEvaluatedKey"]} if page else {}))
            items += [{name: plain(value) for name, value in item.items()} for item in page["Items"]]
            if not page.get("LastEvaluatedKey"):
                return items

    def open(self, table, index, kind):
        """How many claims wait, or payouts have not ended."""
        return self.ask("Query", {
            "TableName": table, "IndexName": index, "Select": "COUNT", "KeyConditionExpression": "#open = :open",
            "ExpressionAttributeNames": {"#open": "open"}, "ExpressionAttributeValues": {":open": {"S": kind}},
        })["Count"]

    def unpaid(self):
        """(claims that wait, payouts that have not ended)."""
        return self.open(self.claims, "open-claims", "claim"), self.open(self.payouts, "open-payouts", "payout")

    def round_trip(self):
        """How long the smallest call takes now, in milliseconds."""
        began = time.perf_counter()
        self.ask("GetItem", {"TableName": self.claims, "Key": {"claim_id": {"S": "none"}}})
        return (time.perf_counter() - began) * 1000


def plain(value):
    (kind, inside), = value.items()
    if kind == "L":
        return [plain(part) for part in inside]
    if kind == "M":
        return {name: plain(part) for name, part in inside.items()}
    return int(inside) if kind == "N" else inside


class Faucet:
    """One `offchain faucet serve` with tables and an account of its own."""

    def __init__(self, args, stack, chain, setting):
        self.chain, self.posted, self.refused = chain, {}, Counter()
        slug = f"{chain.kind}-{setting['batch']}-{setting['in_flight']}"
        key = f"{secrets.randbelow(2**255) + 1:064x}"
        self.account = self.address_of(args.command, key)
        chain.fund(self.account)
        self.funded = chain.balance(self.account)
        self.tables = Tables(stack, args.endpoint, slug)
        given = stack["faucet"]["environment"]
        policy = {"amount": str(AMOUNT)}
        limits = {"batch": setting["batch"], "in_flight": setting["in_flight"], "low_balance": "0"}
        environment = {
            **os.environ, **given, **self.tables.environment, "FAUCET_NETWORK": f"bench-{slug}",
            "FAUCET_CHAIN": json.dumps(chain.settings),
            "FAUCET_POLICY": json.dumps(json.loads(given["FAUCET_POLICY"]) | policy),
            "FAUCET_PAYOUT": json.dumps(json.loads(given["FAUCET_PAYOUT"]) | policy | limits),
            "FAUCET_KEY_SECRET_ARN": self.tables.make_secret(f"bench-{slug}", {"private_key": key}),
            "LOG_LEVEL": "warn",
        }
        environment.pop("OFFCHAIN_STACK", None)
        with open(args.logs / f"faucet-{slug}.log", "wb") as log:
            self.process = subprocess.Popen(
                [args.command, "--json", "faucet", "serve", "--port", "0", "--no-limit", "--no-captcha", "--poll", POLL],
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            )
        try:
            self.door = Door(json.loads(self.process.stdout.readline())["url"])
        except ValueError:
            self.close()
            raise OSError(f"the faucet did not start: see {log.name}") from None

    def address_of(self, command, key):
        done = subprocess.run(
            [command, "--json", "faucet", "key", "show", "--stdin", "--kind", self.chain.kind],
            input=key, stdout=subprocess.PIPE, text=True, check=True,
        )
        return json.loads(done.stdout)["address"]

    def claim(self, _=None):
        """A claim for an address that nobody had before, and that no answer is waited for."""
        address, began = self.chain.new_address(), time.time()
        status, body = self.door.ask("POST", "/v1/claim", {"address": address}, {"Prefer": "respond-async"})
        if status == 202:
            self.posted[body["claim_id"]] = (address, began)
        else:
            self.refused[status] += 1

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Busy:
    """How much of a core each process used meanwhile, and all of them of the machine, where /proc tells."""

    def __init__(self, pids):
        self.pids = pids
        self.used, self.at, self.machine = self.now(), time.monotonic(), machine_time()

    def now(self):
        used = {}
        for name, pid in self.pids.items():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            used[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used

    def shares(self):
        passed = time.monotonic() - self.at
        shares = {name: (used - self.used[name]) / passed for name, used in self.now().items() if name in self.used}
        if self.machine:
            busy, whole = (now - then for now, then in zip(machine_time(), self.machine))
            shares["all"] = busy / whole if whole else 0
        return {name: round(share, 2) for name, share in shares.items()}


def machine_time():
    """(ticks that the cores were busy, all ticks), or nothing where /proc does not tell."""
    try:
        ticks = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return None
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def fill(faucet, pool, length, setting, pids):
    """Sees to it that enough claims are under way; (begin, end, milliseconds of a call, who was how busy)."""
    enough = max(4, WINDOWS * setting["batch"] * setting["in_flight"])

    def top_up():
        claims, payouts = faucet.tables.unpaid()
        list(pool.map(faucet.claim, range(enough - claims - payouts * setting["batch"])))

    top_up()
    begin = time.time() + SETTLING * length
    end, calls, busy, settled = begin + length, [], Busy(pids), False
    while (now := time.time()) < end:
        if not settled and now >= begin:
            busy, settled = Busy(pids), True
        top_up()
        calls.append(faucet.tables.round_trip())
        time.sleep(max(0, now + LOOK_EVERY - time.time()))
    return begin, end, round(statistics.median(calls), 1), busy.shares()


def trickle(faucet, pool, length, rate):
    """Claims as independent people make them, at this rate on average; the ids of those that were taken."""
    before = set(faucet.posted)
    end = time.monotonic() + length
    at = time.monotonic() + random.expovariate(rate)
    made = []
    while at < end:
        time.sleep(max(0, at - time.monotonic()))
        made.append(pool.submit(faucet.claim))
        at += random.expovariate(rate)
    for claim in made:
        claim.result()
    return set(faucet.posted) - before


def drain(faucet):
    deadline = time.monotonic() + DRAINED_WITHIN
    while any(left := faucet.tables.unpaid()) and time.monotonic() < deadline:
        note(f"Waiting for {left[0]} claims, {left[1]} payouts …", last=False)
        time.sleep(0.5)


def read_claims(faucet):
    claims = faucet.tables.scan(
        faucet.tables.claims, ["claim_id", "address", "amount", "status", "height", "sequence", "updated_time"],
    )
    return {claim["claim_id"]: claim for claim in claims}


def latency(posted, claims, ids):
    """Milliseconds from each POST until the table told that a block has the claim."""
    took = [
        round((seconds(claims[name]["updated_time"]) - posted[name][1]) * 1000)
        for name in ids if claims.get(name, {}).get("status") == "paid"
    ]
    return (spread(took) or {}) | {"claims": len(took)}


def sustained(claims, begin, end):
    """(first block, last block, claims, seconds) of what was told as paid in a time: from one block's claims to another's."""
    told, counts = defaultdict(float), Counter()
    for claim in claims:
        if claim["status"] == "paid":
            told[claim["height"]] = max(told[claim["height"]], seconds(claim["updated_time"]))
            counts[claim["height"]] += 1
    blocks = [height for height in sorted(told) if begin <= told[height] <= end]
    if len(blocks) < 2:
        return None
    first, last = blocks[0], blocks[-1]
    return first, last, sum(counts[height] for height in blocks[1:]), told[last] - told[first]


def judge(faucet, claims, payouts, pool):
    """How often something is wrong; all is well where everything is 0."""
    chain, posted = faucet.chain, faucet.posted
    named = Counter(transfer["claim_id"] for payout in payouts for transfer in payout["transfers"] if payout["status"] == "paid")
    recipients = [address for address, _ in posted.values()]
    balances = list(pool.map(chain.balance, recipients))
    fees = sum(pool.map(chain.fee, [payout["hash"] for payout in payouts if payout.get("hash")]))
    spent = faucet.funded - chain.balance(faucet.account)
    sequences = sorted(payout["sequence"] for payout in payouts)
    return {
        "refused": sum(faucet.refused.values()),
        "unasked": len(set(claims) - set(posted)),
        "unpaid": sum(claims.get(name, {}).get("status") != "paid" for name in posted),
        "not_in_one_payout": sum(named[name] != 1 for name in {*posted, *named}),
        "wrong_balances": sum(balance != AMOUNT for balance in balances),
        "unsettled_payouts": sum(payout["status"] != "paid" for payout in payouts),
        "sequences_skipped": abs(chain.sequence(faucet.account) - len(sequences)) + (sequences != list(range(len(sequences)))),
        "account_off_by": abs(spent - fees - AMOUNT * len(posted)),
    }


def limit(setting, rate, busy):
    """What held the rate down, as far as it is seen from here."""
    if rate * BLOCK_SECONDS >= FULL_WINDOW * setting["batch"] * setting["in_flight"]:
        return "window"
    name, share = max(busy.items(), key=lambda pair: pair[1], default=(None, 0))
    return name if share >= BUSY else "calls"


def measure(args, stack, chain, setting):
    note(f"{chain.kind}, {setting['name']}")
    faucet = Faucet(args, stack, chain, setting)
    try:
        with ThreadPoolExecutor(CALLERS) as pool:
            # What is done once is done before: connections, the key.
            faucet.claim()
            drain(faucet)
            pids = {"emulator": args.emulator_pid, "faucet": faucet.process.pid, "node": chain.pid, "load": os.getpid()}
            begin, end, call_ms, busy = fill(faucet, pool, args.seconds, setting, pids)
            loaded = set(faucet.posted)
            drain(faucet)
            claims = read_claims(faucet)
            span = sustained(claims.values(), begin, end)
            if span is None:
                raise OSError(f"fewer than two blocks took claims in {args.seconds} s")
            first, last, count, took = span
            rate = count / took
            note(f"{chain.kind}, {setting['name']}: {rate:.2f} claims a second")
            light = trickle(faucet, pool, args.seconds, rate / 2)
            drain(faucet)
            claims = read_claims(faucet)
            payouts = faucet.tables.scan(faucet.tables.payouts, ["sequence", "status", "hash", "height", "transfers"])
            faults = judge(faucet, claims, payouts, pool)
    finally:
        faucet.close()
    counted = [payout for payout in payouts if first < payout.get("height", 0) <= last]
    return {
        **setting,
        "claims_a_second": round(rate, 2),
        "claims_a_block": round(count / (last - first), 2),
        "claims_a_transaction": round(count / len(counted), 2),
        "counted": {"claims": count, "seconds": round(took, 2), "transactions": len(counted), "blocks": last - first},
        "block_seconds": round((chain.block_time(last) - chain.block_time(first)) / (last - first), 2),
        "latency": latency(faucet.posted, claims, light),
        "latency_loaded": latency(faucet.posted, claims, loaded),
        "call_ms": call_ms,
        "busy": busy,
        "limit": limit(setting, rate, busy),
        "claims": len(faucet.posted),
        "payouts": len(payouts),
        "faults": faults,
    }


def result(args, stack):
    chains = {}
    for kind in ("evm", "cosmos") if args.chain == "both" else (args.chain,):
        if kind == "evm":
            settings = json.loads(stack["faucet"]["environment"]["FAUCET_CHAIN"])
            chain = Anvil(settings, args.chain_pid)
        else:
            chain = CosmosNode(args.cosmos_node)
        try:
            rows = [measure(args, stack, chain, setting) for setting in SETTINGS]
        finally:
            chain.close()
        original, unbatched, batched = (row["claims_a_second"] for row in rows)
        chains[kind] = {
            "settings": rows,
            "batched_to_original": round(batched / original, 1),
            "batched_to_unbatched": round(batched / unbatched, 1),
        }
    rows = [row for chain in chains.values() for row in chain["settings"]]
    return {
        "seconds": args.seconds,
        "block_seconds": BLOCK_SECONDS,
        "targets": {"batched_to_unbatched": TARGET_RATIO},
        "chains": chains,
        "met": {
            **{f"{kind}_ratio": chain["batched_to_unbatched"] >= TARGET_RATIO for kind, chain in chains.items()},
            "paid_once": not any(count for row in rows for count in row["faults"].values()),
        },
    }


NODES = {"evm": "anvil", "cosmos": "the stand-in for a Cosmos SDK node"}
LIMITS = {
    "window": "the blocks: no more are let out at once",
    "emulator": "the emulator, which is one process",
    "faucet": "the faucet's process",
    "node": "the node",
    "load": "the load generator",
    "all": "the machine, whose cores are all busy",
    "calls": "calls to the tables, many one after the other",
}


def tables(found):
    mark = {name: "✓" if is_met else "✗" for name, is_met in found["met"].items()}
    for kind, chain in found["chains"].items():
        print(f"\n    {NODES[kind]}, a block each {found['block_seconds']} s")
        print(f"    {'':<23} {'claims a second':>15} {'a block':>8} {'a tx':>6}   {'latency, ms':>7}")
        print(f"    {'':<23} {'':>15} {'':>8} {'':>6} {'p50':>7} {'p99':>7}")
        for row in chain["settings"]:
            wait = row["latency"]
            p50, p99 = ("-" if wait.get(name) is None else format(wait[name], "d") for name in ("p50_ms", "p99_ms"))
            print(
                f"    {row['name']:<23} {row['claims_a_second']:>15.2f} {row['claims_a_block']:>8.2f}"
                f" {row['claims_a_transaction']:>6.1f} {p50:>7} {p99:>7}"
            )
        print(
            f"    Batched pays {chain['batched_to_unbatched']:g} times as many as unbatched {mark[f'{kind}_ratio']},"
            f" {chain['batched_to_original']:g} times with 1 in flight"
        )
        print("    What limits it:")
        for row in chain["settings"]:
            print(f"      {row['name']:<23}{LIMITS[row['limit']]}")
            busy = "".join(f"{name} {share:.0%}, " for name, share in row["busy"].items())
            print(f"        {busy}a call {row['call_ms']:g} ms")
    rows = [row for chain in found["chains"].values() for row in chain["settings"]]
    faults = Counter()
    for row in rows:
        faults.update(row["faults"])
    print(
        f"\n    {sum(row['claims'] for row in rows)} claims in {sum(row['payouts'] for row in rows)} transactions,"
        f" each paid once; balances add up {mark['paid_once']}"
    )
    for name, count in faults.items():
        if count:
            print(f"    {name.replace('_', ' ')}: {count}")
    print(f"    target: batched at least {TARGET_RATIO} times unbatched, as many in flight; {found['seconds']} s each")
    print("    latency: from POST until a block has it, at half of the rate beside it")
    print("    busy: of one core; all, of the machine. A call: the smallest, to the tables")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stack", type=Path, required=True, help="its stack.json")
    parser.add_argument("--endpoint", required=True, help="of the emulator")
    parser.add_argument("--emulator-pid", type=int, required=True)
    parser.add_argument("--chain-pid", type=int, required=True, help="of the stack's chain")
    parser.add_argument("--command", type=Path, required=True, help="the offchain command")
    parser.add_argument("--cosmos-node", type=Path, required=True, help="the stand-in's program")
    parser.add_argument("--logs", type=Path, required=True, help="a folder")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--chain", choices=("evm", "cosmos", "both"), default="both")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stack = json.loads(args.stack.read_text())
    if not stack.get("faucet"):
        sys.exit("the stack has no faucet: is terraform/'s variable faucet null?")
    try:
        found = result(args, stack)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        tables(found)
    sys.exit(0 if all(found["met"].values()) else 1)


if __name__ == "__main__":
    main()
