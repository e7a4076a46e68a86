"""Runs a BigchainDB 2.2.2 node of one validator on 127.0.0.1, without Docker.

The server's own code does the work: validation, the ABCI application, the HTTP API and
the event stream. Three things around it are of this script:

1. Consensus. One validator agrees with itself, so that Tendermint comes down to a queue
   of transactions, a clock and its RPC's broadcast methods. As with Tendermint's
   `create_empty_blocks = false`, a block is made when there are transactions, and an
   empty one after it, which proves the state that they left.
2. The database. Documents are in memory, as the BSON that MongoDB would hold, under the
   indexes that the server asks MongoDB for. A search by several ids answers in the
   index's order, as MongoDB does: a block lists its transactions by id, not in the order
   in which they were applied.
3. A journal. Each block is a line of FOLDER/blocks.jsonl, written before the block is
   committed; a node that was killed comes back with all of them at the same heights.

What MongoDB cannot hold, such as an integer of more than 64 bits, is refused here; it
would stop a real chain. The text search of assets and metadata is not served.
"""

import argparse
import asyncio
import base64
import collections
import fcntl
import hashlib
import http.server
import itertools
import json
import logging
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

HOST = "127.0.0.1"
TENDERMINT_VERSION = "v0.31.5"
CHAIN_ID = "offchain-local"
# How long a client waits for its transaction's block at most, as with Tendermint.
COMMIT_WITHIN = 10
# How many transactions the server remembers itself.
REMEMBERED = 16384


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="port of the HTTP API")
    parser.add_argument("--stream-port", type=int, required=True, help="port of the event stream")
    parser.add_argument("--rpc-port", type=int, default=0, help="port of Tendermint's RPC; a free one unless given")
    parser.add_argument("--block-seconds", type=float, default=1, help="time between blocks (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="where the journal is")
    parser.add_argument(
        "--stream-buffer", type=int, metavar="BYTES",
        help="send buffer of a subscriber in the kernel: a small one makes a stalled subscriber starve the others soon",
    )
    parser.add_argument("--empty-blocks", action="store_true", help="make blocks without transactions at all times")
    arguments = parser.parse_args()
    if not arguments.block_seconds > 0:
        parser.error(f"--block-seconds is {arguments.block_seconds:g}: more than 0 is expected")
    return arguments


def listen(port: int, option: str, send_buffer: int | None = None) -> socket.socket:
    """A socket that listens on the port, or the end of the program."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # An answer's head and body are written apart; the body is not to wait for the other side.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        print(f"port {port} of {HOST} cannot be had ({error.strerror}): choose another with {option}", file=sys.stderr)
        sys.exit(4)
    listener.listen(128)
    return listener


def configure(stream_port: int, rpc_port: int) -> None:
    """Sets what the server would read from the user's files and environment."""
    # These packages are of 2020, and what they call has been deprecated since.
    warnings.simplefilter("ignore")
    os.environ["NO_PROXY"] = "*"
    from bigchaindb import config_utils
    from bigchaindb.common import memoize

    config_utils.update_config({
        "tendermint": {"host": HOST, "port": rpc_port},
        "wsserver": {"advertised_host": HOST, "advertised_port": stream_port},
    })
    # On a real node, the API and the ABCI application are processes of their own, each with a
    # memory of transactions; here they would share what the application takes apart when it
    # stores it. So only that a transaction was found to be well-formed is remembered.
    memoize.from_dict = WellFormed()
    memoize.to_dict = lambda function, wrapper: function(wrapper.tx)


class WellFormed:
    """Spares the check of a transaction's id and schema where the same text passed it before."""

    def __init__(self) -> None:
        self.passed: collections.OrderedDict[str, None] = collections.OrderedDict()

    def __call__(self, from_dict, cls, transaction: dict, skip_check: bool = True):
        text = json.dumps(transaction)
        made = from_dict(cls, transaction, skip_check or text in self.passed)
        if not skip_check:
            self.passed[text] = None
            if len(self.passed) > REMEMBERED:
                self.passed.popitem(last=False)
        return made


class Documents:
    """Documents by a unique key, and the keys of those that have a value on a path."""

    def __init__(self, key: str, *paths: str) -> None:
        self.key, self.paths = key, paths
        self.encoded: dict = {}
        self.index: dict = {path: collections.defaultdict(list) for path in paths}

    def insert(self, document: dict) -> None:
        import bson

        key = document[self.key]
        if key in self.encoded:
            raise ValueError(f"{self.key} {key} is there already")
        self.encoded[key] = bson.encode(document)
        for path in self.paths:
            # One entry a document, however often the value is in it.
            for value in dict.fromkeys(values_at(document, path.split("."))):
                self.index[path][value].append(key)

    def get(self, key) -> dict | None:
        import bson

        encoded = self.encoded.get(key)
        return None if encoded is None else bson.decode(encoded)

    def among(self, keys) -> list[dict]:
        """In the order of the unique index, as MongoDB answers."""
        return [self.get(key) for key in sorted(set(keys)) if key in self.encoded]

    def where(self, path: str, value) -> list[dict]:
        return [self.get(key) for key in list(self.index[path].get(value, ()))]


def values_at(document, path: list[str]):
    """The values on a path, through arrays, as MongoDB reads one."""
    if isinstance(document, list):
        for item in document:
            yield from values_at(item, path)
    elif not path:
        yield document
    elif isinstance(document, dict) and path[0] in document:
        yield from values_at(document[path[0]], path[1:])


class Database:
    """What the server takes for its connection to MongoDB."""

    def __init__(self) -> None:
        self.transactions = Documents("id", "asset.id", "outputs.public_keys", "inputs.fulfills.transaction_id")
        self.assets = Documents("id")
        self.metadata = Documents("id")
        self.blocks = Documents("height", "transactions")
        self.latest: dict | None = None
        self.pre_commit: dict | None = None
        # By height.
        self.validators: dict[int, dict] = {}
        self.chains: dict[int, dict] = {}
        self.elections: dict[str, dict] = {}

    def run(self, query):
        raise NotImplementedError(f"no query of MongoDB is expected here, and this is one: {query}")


def register_queries() -> None:
    """Answers the server's queries from a Database."""
    from bigchaindb.backend import query
    from bigchaindb.common.transaction import Transaction

    def answers(function):
        return getattr(query, function.__name__).register(Database)(function)

    def without(document: dict | None, key: str) -> dict | None:
        return document and {name: value for name, value in document.items() if name != key}

    @answers
    def store_transactions(db, signed_transactions):
        for document in signed_transactions:
            db.transactions.insert(document)

    @answers
    def store_assets(db, assets):
        for document in assets:
            db.assets.insert(document)

    @answers
    def store_metadatas(db, metadata):
        for document in metadata:
            db.metadata.insert(document)

    @answers
    def store_block(db, block):
        db.blocks.insert(block)
        if db.latest is None or block["height"] > db.latest["height"]:
            db.latest = dict(block)

    @answers
    def get_transaction(db, transaction_id):
        return db.transactions.get(transaction_id)

    @answers
    def get_transactions(db, transaction_ids):
        return db.transactions.among(transaction_ids)

    @answers
    def get_metadata(db, transaction_ids):
        return db.metadata.among(transaction_ids)

    @answers
    def get_asset(db, asset_id):
        return without(db.assets.get(asset_id), "id")

    @answers
    def get_assets(db, asset_ids):
        return db.assets.among(asset_ids)

    @answers
    def get_spent(db, transaction_id, output):
        link = {"transaction_id": transaction_id, "output_index": output}
        found = db.transactions.where("inputs.fulfills.transaction_id", transaction_id)
        return [document for document in found if link in [part["fulfills"] for part in document["inputs"]]]

    @answers
    def get_spending_transactions(db, inputs):
        ids = list(itertools.chain.from_iterable(
            db.transactions.index["inputs.fulfills.transaction_id"].get(link["transaction_id"], ()) for link in inputs
        ))
        return db.transactions.among(ids)

    @answers
    def get_txids_filtered(db, asset_id, operation=None, last_tx=None):
        transfers = list(db.transactions.index["asset.id"].get(asset_id, ()))
        creates = [asset_id] if asset_id in db.transactions.encoded else []
        found = {Transaction.CREATE: creates, Transaction.TRANSFER: transfers, None: creates + transfers}[operation]
        return found[-1:] if last_tx else found

    @answers
    def get_owned_ids(db, owner):
        return db.transactions.where("outputs.public_keys", owner)

    @answers
    def get_asset_tokens_for_public_key(db, asset_id, public_key):
        found = db.transactions.where("asset.id", asset_id)
        return [document for document in found if [public_key] in [part["public_keys"] for part in document["outputs"]]]

    @answers
    def get_latest_block(db):
        return db.latest and dict(db.latest)

    @answers
    def get_block(db, block_id):
        return db.blocks.get(block_id)

    @answers
    def get_block_with_transaction(db, txid):
        return db.blocks.where("transactions", txid)

    @answers
    def store_pre_commit_state(db, state):
        db.pre_commit = dict(state)

    @answers
    def get_pre_commit_state(db):
        return db.pre_commit

    @answers
    def store_validator_set(db, validators_update):
        db.validators[validators_update["height"]] = validators_update

    @answers
    def get_validator_set(db, height=None):
        heights = [known for known in db.validators if height is None or known <= height]
        return db.validators[max(heights)] if heights else None

    @answers
    def store_abci_chain(db, height, chain_id, is_synced=True):
        db.chains[height] = {"height": height, "chain_id": chain_id, "is_synced": is_synced}

    @answers
    def get_latest_abci_chain(db):
        return db.chains[max(db.chains)] if db.chains else None

    @answers
    def store_election(db, election_id, height, is_concluded):
        db.elections[election_id] = {"election_id": election_id, "height": height, "is_concluded": is_concluded}

    @answers
    def store_elections(db, elections):
        for election in elections:
            db.elections[election["election_id"]] = election

    @answers
    def get_election(db, election_id):
        return db.elections.get(election_id)


class Journal:
    """The blocks, a line each, in a file that one node has open."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "blocks.jsonl"
        self.file = self.path.open("ab+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another node has {self.path} open: stop it, or choose another folder with --data", file=sys.stderr)
            sys.exit(4)

    def read(self):
        """The blocks. A last line that was cut short was never committed, and is cut off."""
        self.file.seek(0)
        end = 0
        for number, line in enumerate(self.file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                yield json.loads(line)
            except ValueError as error:
                sys.exit(f"{self.path}, line {number}: a block as JSON is expected: {error}")
            end += len(line)
        self.file.truncate(end)

    def write(self, block: dict) -> None:
        self.file.write(json.dumps(block, separators=(",", ":")).encode() + b"\n")
        self.file.flush()


class Chain:
    """Consensus of one: transactions wait in a queue, and the clock makes blocks of them."""

    def __init__(self, app, types, journal: Journal, empty_blocks: bool) -> None:
        self.app, self.types, self.journal, self.empty_blocks = app, types, journal, empty_blocks
        self.lock = threading.Lock()
        self.committed = threading.Condition()
        self.queue: list[bytes] = []
        # Of what was let in, by hash: its height and code, once it has a block.
        self.seen: dict[bytes, tuple[int, int] | None] = {}
        self.height = 0
        self.proven = True
        app.init_chain(types.RequestInitChain(chain_id=CHAIN_ID, validators=[]))

    def replay(self) -> None:
        """Stores the blocks of the journal, which were validated when they were made."""
        bigchain = self.app.bigchaindb
        for block in self.journal.read():
            transactions = block.pop("transactions")
            if block["height"] != self.height + 1:
                sys.exit(f"{self.journal.path}: after block {self.height}, {self.height + 1} is expected, not {block['height']}")
            self.height += 1
            self.proven = not transactions
            if transactions:
                bigchain.store_bulk_transactions([Stored(transaction) for transaction in transactions])
            bigchain.store_block(block | {"transactions": [transaction["id"] for transaction in transactions]})

    def submit(self, raw: bytes) -> int | None:
        """The code of the check, or None where the transaction was let in before."""
        key = hashlib.sha256(raw).digest()
        with self.lock:
            if key in self.seen:
                return None
            code = self.check(raw)
            if code == 0:
                self.seen[key] = None
                self.queue.append(raw)
            return code

    def check(self, raw: bytes) -> int:
        import bson

        try:
            bson.encode(json.loads(raw))
            return self.app.check_tx(raw).code
        # Whatever is wrong with it, the chain goes on.
        except Exception:
            traceback.print_exc()
            return 1

    def outcome(self, raw: bytes) -> tuple[int, int] | None:
        """Height and code of a transaction that was let in, once it has a block."""
        key = hashlib.sha256(raw).digest()
        with self.committed:
            self.committed.wait_for(lambda: self.seen[key], COMMIT_WITHIN)
            return self.seen[key]

    def run(self, seconds: float) -> None:
        try:
            due = time.monotonic()
            while True:
                due += seconds
                late = time.monotonic() - due
                if late < 0:
                    time.sleep(-late)
                else:
                    due += late
                self.make_block()
        # A chain that stands still must not look like one with nothing to do.
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def make_block(self) -> None:
        with self.lock:
            if not self.queue and self.proven and not self.empty_blocks:
                return
            raw, self.queue = self.queue, []
            height = self.height + 1
            self.app.begin_block(self.types.RequestBeginBlock())
            codes = [self.app.deliver_tx(transaction).code for transaction in raw]
            self.app.end_block(self.types.RequestEndBlock(height=height))
            valid = [json.loads(transaction) for transaction, code in zip(raw, codes) if code == 0]
            self.journal.write({"height": height, "app_hash": self.app.block_txn_hash, "transactions": valid})
            self.app.commit()
            self.height, self.proven = height, not valid
        with self.committed:
            for transaction, code in zip(raw, codes):
                self.seen[hashlib.sha256(transaction).digest()] = (height, code)
            self.committed.notify_all()


class Stored:
    """A transaction of the journal, as far as the server looks at it when it stores one."""

    CREATE = "CREATE"

    def __init__(self, transaction: dict) -> None:
        self.tx_dict = dict(transaction)


def rpc_handler(chain: Chain) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        """Tendermint's broadcast_tx_async, _sync and _commit."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            raw = base64.b64decode(call["params"][0])
            reply = {"jsonrpc": "2.0", "id": call["id"]} | self.broadcast(call["method"], raw)
            body = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def broadcast(self, method: str, raw: bytes) -> dict:
            code = chain.submit(raw)
            if code is None:
                return self.error("Error on broadcastTxCommit: Tx already exists in cache")
            name = hashlib.sha256(raw).hexdigest().upper()
            if method != "broadcast_tx_commit" or code != 0:
                return {"result": {"code": code, "data": "", "log": "", "hash": name}}
            outcome = chain.outcome(raw)
            if outcome is None:
                return self.error("Timed out waiting for tx to be included in a block")
            height, delivered = outcome
            return {"result": {
                "check_tx": {"code": code}, "deliver_tx": {"code": delivered}, "hash": name, "height": str(height),
            }}

        @staticmethod
        def error(data: str) -> dict:
            return {"error": {"code": -32603, "message": "Internal error", "data": data}}

        def log_message(self, *_) -> None:
            pass

    return Handler


class ThreadingServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type) -> None:
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


def start(function, *arguments) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


async def serve_stream(listener: socket.socket, events, chain: Chain) -> None:
    """The server's own event stream, until the node is asked to end."""
    from aiohttp import web
    from bigchaindb.web import websocket_server

    loop = asyncio.get_running_loop()
    source: asyncio.Queue = asyncio.Queue()
    start(websocket_server._multiprocessing_to_asyncio, events, source, loop)
    runner = web.AppRunner(websocket_server.init_app(source, loop=loop))
    await runner.setup()
    await web.SockSite(runner, listener).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, chain)
    print("ready", flush=True)
    await asyncio.Event().wait()


def end(chain: Chain) -> None:
    """Ends the process, but does not cut a block short."""
    chain.lock.acquire()
    os._exit(0)


def main() -> None:
    arguments = parse_arguments()
    http_listener = listen(arguments.port, "--port")
    stream_listener = listen(arguments.stream_port, "--stream-port", arguments.stream_buffer)
    rpc_listener = listen(arguments.rpc_port, "--rpc-port")
    journal = Journal(arguments.data)
    configure(arguments.stream_port, rpc_listener.getsockname()[1])

    from abci import ABCI, TmVersion
    from bigchaindb import BigchainDB
    from bigchaindb.core import App
    from bigchaindb.events import EventTypes, Exchange
    from bigchaindb.web import server
    from werkzeug.serving import WSGIRequestHandler, make_server

    # A height that is not there yet is asked for all day long.
    logging.getLogger("bigchaindb.web.views.base").setLevel(logging.CRITICAL)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    register_queries()
    exchange, database = Exchange(), Database()
    events = exchange.get_subscriber_queue(EventTypes.BLOCK_VALID)
    start(exchange.run)
    types = ABCI(TmVersion(TENDERMINT_VERSION)).types
    app = App(types, BigchainDB(connection=database), exchange.get_publisher_queue())
    chain = Chain(app, types, journal, arguments.empty_blocks)
    chain.replay()

    start(ThreadingServer(rpc_listener, rpc_handler(chain)).serve_forever)
    start(chain.run, arguments.block_seconds)
    api = server.create_app(threads=16, bigchaindb_factory=lambda: BigchainDB(connection=database))
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    start(make_server(HOST, arguments.port, api, threaded=True, fd=http_listener.fileno()).serve_forever)
    asyncio.run(serve_stream(stream_listener, events, chain))


if __name__ == "__main__":
    main()
