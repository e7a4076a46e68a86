"""Says who owns what and what each lease costs, by reading a chain from its first block.

usage: naive.py URL [--to HEIGHT]

The slow and plain way: every block of a BigchainDB node, one after another, and nothing
kept from one run to the next. It shares no code with what it is held against.

A car is an asset whose CREATE has `asset.data.car.value`, a whole number of cents from 1
to 10^12, and one output of amount 1 with one public key, its lessor. A lease begins with
an output of the car of one other key, its driver, and ends when that output is spent.
"""

import argparse
import http.client
import json
import sys
from urllib.parse import urlsplit

MOST_VALUE = 10**12
MOST_INCIDENTS = 100


def whole(value, least, most):
    """Whether it is a whole number in that range; true and 1.0 are none."""
    return type(value) is int and least <= value <= most


def blocks(url, last):
    """The blocks from height 1 on, up to the one that is not there yet."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    height = 1
    while last is None or height <= last:
        path = f"/api/v1/blocks/{height}"
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 404:
            if last is not None:
                sys.exit(f"{path}: a block is expected up to {last}, and there is none")
            return
        if answer.status != 200:
            sys.exit(f"{path}: 200 or 404 is expected, not {answer.status}: {body.decode(errors='replace')}")
        yield json.loads(body)
        height += 1


def in_order(transactions):
    """A node lists a block's transactions by id: here, each after those that it spends."""
    waiting = {transaction["id"]: transaction for transaction in transactions}
    while waiting:
        ready = [
            transaction for transaction in waiting.values()
            if not any(spent and spent["transaction_id"] in waiting for spent in map(spends, transaction["inputs"]))
        ]
        if not ready:
            sys.exit(f"transactions that spend each other: {', '.join(waiting)}")
        for transaction in ready:
            del waiting[transaction["id"]]
            yield transaction


def spends(part):
    return part["fulfills"]


def car_value(transaction):
    """What a car is worth, if it is one that is made here."""
    data = transaction["asset"].get("data")
    car = data.get("car") if isinstance(data, dict) else None
    value = car.get("value") if isinstance(car, dict) else None
    outputs = transaction["outputs"]
    one = len(outputs) == 1 and outputs[0]["amount"] == "1" and len(outputs[0]["public_keys"] or []) == 1
    return value if one and whole(value, 1, MOST_VALUE) else None


def incidents_of(transaction):
    incidents = (transaction["metadata"] or {}).get("incidents")
    return incidents if whole(incidents, 0, MOST_INCIDENTS) else 0


class Ledger:
    def __init__(self):
        self.height = 0
        self.transactions = 0
        # By asset: its value, None where it is no car; its lessor; its unspent outputs by
        # transaction and index; who has it on lease.
        self.assets = {}
        self.drivers = {}

    def apply(self, transaction):
        self.transactions += 1
        if transaction["operation"] == "CREATE":
            value = car_value(transaction)
            lessor = transaction["outputs"][0]["public_keys"][0] if value is not None else None
            asset = {"value": value, "lessor": lessor, "unspent": {}, "driver": None}
            self.assets[transaction["id"]] = asset
        elif transaction["operation"] == "TRANSFER":
            asset = self.assets[transaction["asset"]["id"]]
            for part in transaction["inputs"]:
                spent = part["fulfills"]
                del asset["unspent"][spent["transaction_id"], spent["output_index"]]
            if asset["value"] is not None:
                self.hand_on(asset, transaction)
        else:
            return
        for index, output in enumerate(transaction["outputs"]):
            asset["unspent"][transaction["id"], index] = output

    def hand_on(self, car, transaction):
        if car["driver"] is not None:
            counters, incidents = self.drivers[car["driver"]], incidents_of(transaction)
            counters["ended"] += 1
            counters["incidents"] += incidents
            counters["claim_free"] += incidents == 0
        # Amounts add up, so that there is one output, of amount 1. Several owners are no driver.
        keys = transaction["outputs"][0]["public_keys"] or []
        car["driver"] = keys[0] if len(keys) == 1 and keys[0] != car["lessor"] else None
        if car["driver"] is not None:
            none = {"started": 0, "ended": 0, "claim_free": 0, "incidents": 0}
            self.drivers.setdefault(car["driver"], none)["started"] += 1

    def premium(self, car):
        """Cents a year of a car that is on lease."""
        if car["driver"] is None:
            return None
        counters = self.drivers[car["driver"]]
        factor = 110 - 5 * min(counters["claim_free"], 10) + 25 * counters["incidents"]
        factor = max(60, min(300, factor))
        return (car["value"] * 4 * factor + 5000) // 10000

    def report(self):
        return {
            "height": self.height,
            "transactions": self.transactions,
            "assets": {
                name: {
                    "lessor": asset["lessor"],
                    "owners": [
                        {
                            "public_keys": output["public_keys"], "amount": output["amount"],
                            "transaction_id": transaction_id, "output_index": index,
                        }
                        for (transaction_id, index), output in sorted(asset["unspent"].items(), key=lambda item: item[0])
                    ],
                    "car": asset["value"] is not None,
                    "premium_cents": self.premium(asset),
                }
                for name, asset in self.assets.items()
            },
            "drivers": self.drivers,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", metavar="URL", help="the node, such as http://127.0.0.1:9984")
    parser.add_argument("--to", type=int, metavar="HEIGHT", help="the last block to read; the latest unless given")
    arguments = parser.parse_args()
    ledger = Ledger()
    for block in blocks(arguments.url, arguments.to):
        ledger.height = block["height"]
        for transaction in in_order(block["transactions"]):
            ledger.apply(transaction)
    print(json.dumps(ledger.report(), indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
