"""The chains that scripts/bench faucet pays on, as their nodes tell: anvil, and the stand-in for a Cosmos SDK node."""

import http.client
import json
import os
import subprocess
import threading
from datetime import datetime
from urllib.parse import urlsplit

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class Door:
    """HTTP with JSON, over one connection for each thread."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.at, self.path, self.mine = (parts.hostname, parts.port), parts.path.rstrip("/"), threading.local()

    def ask(self, method, path, body=None, headers=None):
        """(status, JSON); an error where there is no answer."""
        connection = getattr(self.mine, "connection", None)
        if connection is None:
            connection = self.mine.connection = http.client.HTTPConnection(*self.at, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, self.path + path, text, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            connection.close()
            self.mine.connection = None
            raise


class Anvil:
    """A chain that runs already, and whose blocks come at their own pace."""

    kind = "evm"

    def __init__(self, settings, pid):
        self.settings, self.pid = settings, pid
        self.door = Door(settings["nodes"][0]["url"])

    def call(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        _, answer = self.door.ask("POST", "/", body)
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def number(self, method, *params):
        return int(self.call(method, *params), 16)

    def new_address(self):
        return f"0x{os.urandom(20).hex()}"

    def fund(self, address):
        self.call("anvil_setBalance", address, hex(10**24))

    def balance(self, address):
        return self.number("eth_getBalance", address, "latest")

    def sequence(self, address):
        return self.number("eth_getTransactionCount", address, "latest")

    def fee(self, transaction):
        receipt = self.call("eth_getTransactionReceipt", transaction)
        return int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)

    def block_time(self, height):
        return int(self.call("eth_getBlockByNumber", hex(height), False)["timestamp"], 16)

    def close(self):
        """It is the stack's."""


class CosmosNode:
    """The stand-in, a block each second, for as long as the bench needs it."""

    kind = "cosmos"
    denom = "stake"

    def __init__(self, program):
        command = [program, "--chain-id", "bench-1", "--block-ms", "1000"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        urls = json.loads(self.process.stdout.readline() or "null")
        if urls is None:
            raise OSError(f"{program} did not start")
        self.pid, self.door = self.process.pid, Door(urls["rest"])
        self.settings = {
            "kind": "cosmos", "nodes": [{"url": urls["rest"], "rpc_url": urls["rpc"]}], "chain_id": "bench-1",
            "prefix": "cosmos", "denom": self.denom, "fee_denom": self.denom, "gas_price": "0.025", "gas": 100000,
            "gas_each": 50000, "memo": "faucet drop", "timeout_blocks": 20,
        }

    def get(self, path):
        status, answer = self.door.ask("GET", path)
        if status != 200:
            raise ValueError(f"GET {path}: {status}")
        return answer

    def new_address(self):
        return bech32(self.settings["prefix"], os.urandom(20))

    def fund(self, address):
        body = {"address": address, "coins": f"{10**15}{self.denom}"}
        status, answer = self.door.ask("POST", "/admin/balance", body)
        if status != 200:
            raise ValueError(f"POST /admin/balance: {answer}")

    def balance(self, address):
        coins = self.get(f"/cosmos/bank/v1beta1/balances/{address}")["balances"]
        return sum(int(coin["amount"]) for coin in coins if coin["denom"] == self.denom)

    def sequence(self, address):
        return int(self.get(f"/cosmos/auth/v1beta1/accounts/{address}")["account"]["sequence"])

    def fee(self, transaction):
        coins = self.get(f"/cosmos/tx/v1beta1/txs/{transaction}")["tx"]["auth_info"]["fee"]["amount"]
        return sum(int(coin["amount"]) for coin in coins)

    def block_time(self, height):
        told = self.get(f"/cosmos/base/tendermint/v1beta1/blocks/{height}")["block"]["header"]["time"]
        # Of its nine decimals Python reads six.
        return datetime.fromisoformat(f"{told[:19]}.{told[20:].rstrip('Z').ljust(6, '0')[:6]}+00:00").timestamp()

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def bech32(prefix, data):
    """An address as BIP 173 writes it."""
    bits, count, words = 0, 0, []
    for byte in data:
        bits, count = bits << 8 | byte, count + 8
        while count >= 5:
            count -= 5
            words.append(bits >> count & 31)
    if count:
        words.append(bits << (5 - count) & 31)
    expanded = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    check = 1
    for word in [*expanded, *words, 0, 0, 0, 0, 0, 0]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ word
        for bit, value in enumerate(GENERATOR):
            if top >> bit & 1:
                check ^= value
    check ^= 1
    words += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{prefix}1{''.join(BECH32[word] for word in words)}"
