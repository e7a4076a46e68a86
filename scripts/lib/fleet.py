"""Leases cars on a BigchainDB node: a fleet that trades until it is asked to end.

usage: fleet.py --node URL [--cars C] [--seconds-between S] [--seed S] [--others]
       fleet.py --node URL --transactions N [--cars C] [--seed S] [--others]

A lessor makes the cars. A lease hands a car to a driver; its end hands it back, or
straight on to the next driver, and says how many incidents there were. Each transaction is
made and signed by BigchainDB's own driver.

With --transactions, N of them are made as fast as the node takes them, many cars at a
time. Keys and transactions follow from the seed: a run again with the same one finds its
transactions there and makes none twice. So does a run through a restart of the node:
a transaction whose reply was lost is looked for before it is sent again.

The last line is a summary in JSON. Exit: 0 it is done or was asked to end, 1 the node
refused a transaction or, with --transactions, did not answer for long, 2 wrong usage.
"""

import argparse
import hashlib
import itertools
import json
import math
import queue
import random
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

# The driver asks for a package that Python's own library has made needless since.
sys.modules.setdefault("sha3", hashlib)
warnings.simplefilter("ignore")

import base58  # noqa: E402
import requests  # noqa: E402
from bigchaindb_driver.offchain import fulfill_transaction, prepare_transaction  # noqa: E402
from nacl.signing import SigningKey  # noqa: E402

MODELS = ("Fiat Panda", "Škoda Octavia", "Renault Zoé", "VW ID.3", "Tesla Model 3", "Toyota Yaris", "日産リーフ")
FIRST_DAY = date(2026, 11, 1)
# How many cars trade at the same time at most.
WORKERS = 48
# How long a reply may take, and how long the node may be away where somebody waits for
# so many transactions; in seconds.
REPLY_WITHIN = 30
AWAY_FOR = 120
PAUSE = 0.2


class Key(NamedTuple):
    public: str
    private: str


# One transaction of an asset's history, which follows from the one before: made, signed.
History = Iterator[dict]


def key_of(seed: str, role: str) -> Key:
    private = hashlib.sha256(f"{seed} {role}".encode()).digest()
    public = bytes(SigningKey(private).verify_key)
    return Key(base58.b58encode(public).decode(), base58.b58encode(private).decode())


def create(owner: Key, data: dict, amount: int = 1, metadata: dict | None = None) -> dict:
    prepared = prepare_transaction(
        operation="CREATE", signers=owner.public, recipients=[([owner.public], amount)], asset={"data": data},
        metadata=metadata,
    )
    return fulfill_transaction(prepared, private_keys=owner.private)


def transfer(spent: dict, index: int, owner: Key, recipients: list[tuple[Key, int]], metadata: dict | None = None) -> dict:
    output = spent["outputs"][index]
    prepared = prepare_transaction(
        operation="TRANSFER",
        asset={"id": spent["id"] if spent["operation"] == "CREATE" else spent["asset"]["id"]},
        inputs={
            "fulfillment": output["condition"]["details"],
            "fulfills": {"transaction_id": spent["id"], "output_index": index},
            "owners_before": output["public_keys"],
        },
        recipients=[([key.public], amount) for key, amount in recipients],
        metadata=metadata,
    )
    return fulfill_transaction(prepared, private_keys=owner.private)


def car(seed: str, number: int, lessor: Key, drivers: list[Key]) -> History:
    chance = random.Random(f"{seed} car {number}")
    model = {"model": chance.choice(MODELS), "value": chance.randrange(8_000_00, 90_000_00)}
    # The number makes two cars of one model and value two assets.
    last = create(lessor, {"car": model, "number": number, "fleet": seed})
    yield last
    holder, day = lessor, FIRST_DAY
    while True:
        day += timedelta(days=chance.randint(1, 30))
        metadata = {}
        goes_back = holder is not lessor and chance.random() < 0.7
        if holder is not lessor and chance.random() < 0.2:
            metadata["incidents"] = chance.randint(1, 2)
        following = lessor if goes_back else chance.choice(drivers)
        if not goes_back:
            metadata["lease"] = {"from": day.isoformat()}
        last = transfer(last, 0, holder, [(following, 1)], metadata or None)
        yield last
        holder = following


def painting(seed: str, number: int, lessor: Key, drivers: list[Key]) -> History:
    last = create(lessor, {"painting": f"Still life with keys, {number}", "fleet": seed})
    yield last
    yield transfer(last, 0, lessor, [(drivers[number % len(drivers)], 1)], {"sold": True})


def shares(seed: str, lessor: Key, drivers: list[Key]) -> History:
    """An asset of ten parts, which are split: three outputs, of two owners."""
    last = create(lessor, {"shares": "ten of the garage", "fleet": seed}, amount=10)
    yield last
    last = transfer(last, 0, lessor, [(lessor, 5), (drivers[0], 3), (drivers[1], 2)])
    yield last
    yield transfer(last, 1, drivers[0], [(drivers[0], 1), (drivers[1], 2)])


class Refused(Exception):
    """The node does not take a transaction, or does not answer for long."""


class Node:
    """Sends transactions, each of them until it is in a block."""

    def __init__(self, url: str, stopped: threading.Event, away_for: float) -> None:
        self.url, self.stopped, self.away_for = f"{url.rstrip('/')}/api/v1/transactions", stopped, away_for
        self.local = threading.local()
        self.lock = threading.Lock()
        self.lost_replies = 0
        # Transactions that were not there before.
        self.made = 0

    def session(self) -> requests.Session:
        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
            # No proxy of the user's takes part.
            self.local.session.trust_env = False
        return self.local.session

    def has(self, transaction_id: str) -> bool:
        answer = self.session().get(f"{self.url}/{transaction_id}", timeout=REPLY_WITHIN)
        if answer.status_code not in (200, 404):
            answer.raise_for_status()
        return answer.status_code == 200

    def send(self, transaction: dict) -> None:
        """Returns once it is in a block. Not by the driver, which sends again what may have arrived."""
        body, sent, problem = json.dumps(transaction), False, "no answer"
        deadline = time.monotonic() + self.away_for
        while time.monotonic() < deadline:
            try:
                if sent and self.has(transaction["id"]):
                    return
                sent = True
                answer = self.session().post(f"{self.url}?mode=commit", data=body, timeout=REPLY_WITHIN)
                if answer.status_code == 202:
                    with self.lock:
                        self.made += 1
                    return
                problem = answer.text.strip()
                if answer.status_code == 400:
                    # Of an earlier run with the same seed, or of this one before its reply was lost.
                    if self.has(transaction["id"]):
                        return
                    if not self.may_be_there(problem):
                        break
            except requests.RequestException as error:
                problem = str(error)
                with self.lock:
                    self.lost_replies += 1
            time.sleep(PAUSE)
            if self.stopped.is_set():
                raise Refused("asked to end")
        raise Refused(f"transaction {transaction['id']}: {problem}")

    @staticmethod
    def may_be_there(problem: str) -> bool:
        """Whether it says that the transaction waits for its block."""
        return "already exists in cache" in problem


class Fleet:
    def __init__(self, node: Node, seed: str, cars: int, others: bool) -> None:
        self.node, self.seed = node, seed
        self.lessor = key_of(seed, "lessor")
        self.drivers = [key_of(seed, f"driver {number}") for number in range(max(3, cars))]
        self.cars = [car(seed, number, self.lessor, self.drivers) for number in range(cars)]
        self.others: list[History] = []
        if others:
            self.others = [painting(seed, number, self.lessor, self.drivers) for number in range(3)]
            self.others.append(shares(seed, self.lessor, self.drivers))
        self.lock = threading.Lock()
        self.sent = 0
        self.car_ids: list[str] = []
        self.other_ids: list[str] = []
        self.began = time.monotonic()

    def step(self, history: History) -> dict | None:
        """Makes the next transaction of a history, or none where it has ended."""
        transaction = next(history, None)
        if transaction is None:
            return None
        self.node.send(transaction)
        with self.lock:
            self.sent += 1
            if transaction["operation"] == "CREATE":
                is_car = "car" in transaction["asset"]["data"]
                (self.car_ids if is_car else self.other_ids).append(transaction["id"])
        return transaction

    def run(self, seconds_between: float, stopped: threading.Event) -> None:
        """One transaction after another, at a pace, until it is asked to end. Those that an
        earlier run has made take no time."""
        chance = random.Random(f"{self.seed} pace")
        # All are there before any is leased; then whichever comes.
        waiting = self.others + self.cars
        while not stopped.is_set():
            history = waiting.pop() if waiting else chance.choice(self.cars + self.others)
            began = self.node.made
            transaction = self.step(history)
            if transaction is None:
                self.others.remove(history)
            elif self.node.made > began:
                print(describe(transaction, self.lessor), flush=True)
                stopped.wait(seconds_between)

    def rush(self, transactions: int, stopped: threading.Event) -> None:
        """So many, as fast as the node takes them: histories side by side, each in its order."""
        waiting: queue.Queue = queue.Queue()
        for history in self.cut(transactions):
            waiting.put(history)
        failures: list[Exception] = []

        def work() -> None:
            while self.sent < transactions and not failures and not stopped.is_set():
                try:
                    history = waiting.get(timeout=PAUSE)
                except queue.Empty:
                    continue
                try:
                    if self.step(history):
                        waiting.put(history)
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(WORKERS, len(self.cars)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def cut(self, transactions: int) -> list[History]:
        """The histories as far as they go in so many transactions, whatever comes first."""
        others = [list(history) for history in self.others]
        left = transactions - sum(map(len, others))
        if left < 0:
            raise Refused(f"{transactions} transactions: {transactions - left} are expected at least, for the others")
        share, more = divmod(left, len(self.cars))
        cars = [itertools.islice(history, share + (number < more)) for number, history in enumerate(self.cars)]
        return [iter(history) for history in others] + cars

    def summary(self) -> dict:
        seconds = time.monotonic() - self.began
        return {
            "transactions": self.sent, "seconds": round(seconds, 1), "per_second": round(self.sent / seconds, 1),
            "seed": self.seed, "lessor": self.lessor.public, "drivers": [key.public for key in self.drivers],
            "cars": sorted(self.car_ids), "others": sorted(self.other_ids), "lost_replies": self.node.lost_replies,
        }


def describe(transaction: dict, lessor: Key) -> str:
    name, owner = transaction["id"][:8], transaction["outputs"][0]["public_keys"][0]
    if transaction["operation"] == "CREATE":
        return f"{name}  made {json.dumps(transaction['asset']['data'], ensure_ascii=False)}"
    where = "its lessor" if owner == lessor.public else owner
    metadata = transaction["metadata"] or {}
    incidents = f", incidents: {metadata['incidents']}" if "incidents" in metadata else ""
    return f"{name}  {transaction['asset']['id'][:8]} goes to {where}{incidents}"


def at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {least} on is expected")
        return int(text)

    return number


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node", required=True, metavar="URL", help="such as http://127.0.0.1:9984")
    parser.add_argument("--cars", type=at_least(1), default=4, help="how many cars (default: %(default)s)")
    parser.add_argument("--seconds-between", type=float, default=2, metavar="S", help="time between two transactions")
    parser.add_argument("--transactions", type=at_least(1), metavar="N", help="make so many as fast as it goes, and end")
    parser.add_argument("--seed", help="what keys and transactions follow from; a random one unless given")
    parser.add_argument("--others", action="store_true", help="make assets that are no cars too")
    arguments = parser.parse_args()
    if not arguments.node.startswith(("http://", "https://")):
        parser.error(f"--node is {arguments.node}: a URL such as http://127.0.0.1:9984 is expected")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    node = Node(arguments.node, stopped, AWAY_FOR if arguments.transactions else math.inf)
    fleet = Fleet(node, arguments.seed or secrets.token_hex(4), arguments.cars, arguments.others)
    try:
        if arguments.transactions:
            fleet.rush(arguments.transactions, stopped)
        else:
            fleet.run(arguments.seconds_between, stopped)
    except Refused as error:
        if not stopped.is_set():
            sys.exit(f"fleet: {error}")
    print(json.dumps(fleet.summary()))


if __name__ == "__main__":
    main()
