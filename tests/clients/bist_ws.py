"""An independent client of the WebSocket market data, written from docs/protocols/websocket.md alone.

It rebuilds every book, keeps the chain of every subscription, verifies the checksum of every book frame and believes
nothing. Prices and quantities stay exact: text on the wire, `Decimal` for order, text again in the checksum.

    async with BookClient("ws://localhost:8083/ws/v2", depth=10) as client:
        await client.run(seconds=60)
        print(client.books["THYAO"].bids[0], client.report)
"""

from __future__ import annotations

import asyncio
import bisect
import json
import socket
import time
import zlib
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, AsyncIterator, Callable
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CHECKSUM_LEVELS_MAX = 10
"""Levels a side that take part in the checksum, at most."""

REQUESTS_PER_S = 8
"""The server takes 10 requests a second, burst 10, and delays the rest: we stay below it."""

SNAPSHOT_WAIT_S = 10.0
"""A snapshot that was asked for and did not come is asked for again after this."""

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Longest message that is taken: a snapshot of all orders of one symbol."""


@lru_cache(maxsize=65_536)
def exact(text: str) -> Decimal:
    """The number a decimal text stands for; a market has few prices, so most are known already."""
    return Decimal(text)


def bare(decimal: str) -> str:
    """A price or quantity as it stands in the checksum: without dot and leading zeros."""
    return decimal.replace(".", "").lstrip("0")


def checksum(asks: list[list], bids: list[list], depth: int = CHECKSUM_LEVELS_MAX) -> int:
    """CRC-32 (zlib) of the best levels, asks low to high, then bids high to low."""
    count = min(depth, CHECKSUM_LEVELS_MAX)
    text = "".join(bare(level[0]) + bare(level[1]) for side in (asks, bids) for level in side[:count])
    return zlib.crc32(text.encode("ascii"))


class Chain:
    """The apply rule: where we are in the frames of one channel and symbol."""

    def __init__(self) -> None:
        self.have: tuple[int, int] | None = None
        """(epoch, seq) of the last frame taken."""
        self.waiting = True
        """No snapshot yet, or a hole was found and its snapshot has not come."""

    def start_at(self, epoch: int, seq: int) -> None:
        """Subscribed with `snapshot: false`: the reply names the head of the chain."""
        self.have = (epoch, seq)
        self.waiting = False

    def accept(self, frame: dict[str, Any]) -> str:
        """`replace`, `apply`, `drop`, `wait` or `resync`."""
        if frame["type"] == "snapshot":
            self.have = (frame["epoch"], frame["seq"])
            self.waiting = False
            return "replace"
        if self.waiting or self.have is None or frame["epoch"] != self.have[0]:
            return "wait"
        if frame["seq"] <= self.have[1]:
            return "drop"
        if frame["prev_seq"] != self.have[1]:
            self.waiting = True
            return "resync"
        self.have = (frame["epoch"], frame["seq"])
        return "apply"


class Book(Chain):
    """One side each of `[price, quantity, orders]`, best first, never more than `depth` after a frame."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.bids: list[list] = []
        self.asks: list[list] = []

    def accept(self, frame: dict[str, Any]) -> str:
        decision = super().accept(frame)
        if decision == "replace":
            self.bids, self.asks = [], []
        if decision in ("replace", "apply"):
            self._change(self.bids, frame["bids"], -1)
            self._change(self.asks, frame["asks"], 1)
        return decision

    def _change(self, side: list[list], levels: list[list], order: int) -> None:
        for level in levels:
            key = order * exact(level[0])
            at = bisect.bisect_left(side, key, key=lambda known: order * exact(known[0]))
            found = at < len(side) and exact(side[at][0]) == exact(level[0])
            if Decimal(level[1]) == 0:
                if found:
                    del side[at]
            elif found:
                side[at] = level
            else:
                side.insert(at, level)
        # Only now: a level may pass through the depth while the frame is applied.
        del side[self.depth :]

    def checksum(self) -> int:
        return checksum(self.asks, self.bids, self.depth)


class Orders(Chain):
    """All orders of one symbol in queue order (`mbo`)."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: dict[str, dict[str | None, OrderedDict[str, str]]] = {"B": {}, "A": {}}
        """side → price → order id → quantity, oldest first."""
        self.price_of: dict[tuple[str, str], str | None] = {}
        self.omitted = False

    def accept(self, frame: dict[str, Any]) -> str:
        decision = super().accept(frame)
        if decision == "replace":
            self._clear()
            self.omitted = bool(frame.get("orders_omitted"))
            for order_id, side, price, quantity in frame.get("orders", []):
                self.queues[side].setdefault(price, OrderedDict())[order_id] = quantity
                self.price_of[side, order_id] = price
        elif decision == "apply":
            for change in frame["changes"]:
                self._change(change)
        return decision

    def _clear(self) -> None:
        self.queues = {"B": {}, "A": {}}
        self.price_of.clear()

    def _remove(self, side: str, order_id: str) -> None:
        if (side, order_id) not in self.price_of:
            return
        price = self.price_of.pop((side, order_id))
        queue = self.queues[side][price]
        del queue[order_id]
        if not queue:
            del self.queues[side][price]

    def _change(self, change: dict[str, Any]) -> None:
        action = change["action"]
        if action == "R":
            self._clear()
            return
        side, order_id, quantity, position = change["side"], change["order_id"], change["quantity"], change["position"]
        if action in ("A", "M"):
            self._remove(side, order_id)
            if position == 0:
                return
            price = change["price"]
            queue = self.queues[side].setdefault(price, OrderedDict())
            behind = list(queue)[position - 1 :]
            queue[order_id] = quantity
            for other in behind:
                queue.move_to_end(other)
            self.price_of[side, order_id] = price
        elif Decimal(quantity) == 0:
            self._remove(side, order_id)
        elif (side, order_id) in self.price_of:
            self.queues[side][self.price_of[side, order_id]][order_id] = quantity

    def levels(self, side: str, depth: int) -> list[list]:
        """The best `depth` levels as `book` has them: market orders stand in no level."""
        prices = sorted((price for price in self.queues[side] if price is not None), key=exact, reverse=side == "B")
        return [
            [price, str(sum(int(quantity) for quantity in self.queues[side][price].values())), len(self.queues[side][price])]
            for price in prices[:depth]
        ]


class Percentiles:
    """Latencies in nanoseconds, counted in buckets of 1/32 of a power of two: bounded, whatever the number of frames."""

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.count = 0
        self.negative = 0
        self.max = 0

    def add(self, value_ns: int) -> None:
        if value_ns < 0:
            # OK because: two clocks. Counted apart, so that nobody takes them for speed.
            self.negative += 1
            return
        self.count += 1
        self.max = max(self.max, value_ns)
        shift = max(0, value_ns.bit_length() - 6)
        self.buckets[value_ns >> shift << shift] += 1

    def at(self, percent: float) -> int | None:
        """Lower end of the bucket in which the percentile falls; `None` without values."""
        wanted = percent / 100 * self.count
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return bucket
        return None


@dataclass
class Report:
    """What one client saw. `ok` is whether everything it saw fits together."""

    frames: Counter = field(default_factory=Counter)
    """channel → data frames."""
    snapshots: int = 0
    verified: int = 0
    mismatches: int = 0
    broken_chains: int = 0
    """Frames that did not follow the last one although the server had named no gap."""
    behind: int = 0
    """Heartbeats that counted a frame of which there is no trace."""
    gaps: Counter = field(default_factory=Counter)
    """reason → gaps that the server named."""
    resyncs: int = 0
    """Snapshots that we asked for."""
    repeats: int = 0
    ignored: int = 0
    crossed_while_continuous: int = 0
    order_book_differences: int = 0
    """mbo and book of one symbol disagreed at the same number."""
    order_book_agreements: int = 0
    refused: Counter = field(default_factory=Counter)
    """error code → replies without success."""
    warnings: Counter = field(default_factory=Counter)
    epochs: set = field(default_factory=set)
    closed: str = ""
    """Why the connection ended, when it was not us."""
    latency: Percentiles = field(default_factory=Percentiles)
    """ts_out → received, nanoseconds; only as right as both clocks agree."""
    notes: list[str] = field(default_factory=list)
    """The first faults in words, at most 20."""

    def note(self, text: str) -> None:
        if len(self.notes) < 20:
            self.notes.append(text)

    @property
    def ok(self) -> bool:
        return self.mismatches == 0 and self.broken_chains == 0 and self.behind == 0 and self.order_book_differences == 0 and not self.closed


@dataclass
class Entry:
    """One subscription of one symbol."""

    channel: str
    symbol: str
    chain: Chain
    sub_id: int | None = None
    gap_named: bool = False
    asked_at: float | None = None
    held: deque = field(default_factory=deque)


class BookClient:
    """Subscribes `book` (and `mbo`) of `symbols` and rebuilds and verifies all of them."""

    def __init__(
        self,
        url: str,
        symbols: list[str] | None = None,
        depth: int = 10,
        mbo: bool = False,
        conflate_ms: int = 0,
        slow_reader: str = "skip",
        receive_bytes: int | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.url = url
        self.symbols = symbols or ["*"]
        self.depth = depth
        self.mbo = mbo
        self.conflate_ms = conflate_ms
        self.slow_reader = slow_reader
        self.receive_bytes = receive_bytes
        """Size of the kernel's receive buffer; small makes a pause felt at the server sooner."""
        self.clock_ns = clock_ns
        self.books: dict[str, Book] = {}
        self.orders: dict[str, Orders] = {}
        self.phases: dict[str, str] = {}
        self.report = Report()
        self._entries: dict[tuple[str, str], Entry] = {}
        self._by_sub_id: dict[int, Entry] = {}
        self._requests: asyncio.Queue[dict] = asyncio.Queue()
        self._request_id = 0
        self._socket: ClientConnection | None = None
        self._sender: asyncio.Task | None = None

    async def __aenter__(self) -> BookClient:
        self._socket = await connect(
            self.url,
            subprotocols=["bist.v2.json"],
            compression=None,
            max_size=MESSAGE_BYTES_MAX,
            ping_interval=None,
            max_queue=64,
            **(await self._small_socket() if self.receive_bytes else {}),
        )
        self._sender = asyncio.create_task(self._send())
        self.request("subscribe", {"channel": "heartbeat", "interval_s": 1})
        for channel in ["status", "mbo", "book"] if self.mbo else ["status", "book"]:
            params: dict[str, Any] = {"channel": channel, "symbol": self.symbols}
            if channel == "book":
                params |= {"depth": self.depth, "conflate_ms": self.conflate_ms}
            if channel != "status":
                params["slow_reader"] = self.slow_reader
            self.request("subscribe", params)
        return self

    async def _small_socket(self) -> dict[str, socket.socket]:
        """A connected socket whose receive buffer was set before the handshake: later has no effect on the window."""
        to = urlsplit(self.url)
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes or 0)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, (socket.gethostbyname(to.hostname or "localhost"), to.port or 80))
        return {"sock": plain}

    async def __aexit__(self, *_: object) -> None:
        if self._sender:
            self._sender.cancel()
        if self._socket:
            await self._socket.close()

    def request(self, method: str, params: dict | None = None) -> int:
        """Queues a request; sent at our pace. Returns its `req_id`."""
        self._request_id += 1
        self._requests.put_nowait({"method": method, "params": params or {}, "req_id": self._request_id})
        return self._request_id

    async def _send(self) -> None:
        assert self._socket
        while True:
            await self._socket.send(json.dumps(await self._requests.get()))
            await asyncio.sleep(1 / REQUESTS_PER_S)

    async def run(self, seconds: float, pause: Callable[[float], float] | None = None) -> Report:
        """Reads for so long. `pause(elapsed)` gives seconds to sleep before the next message: a slow reader."""
        begun = time.monotonic()
        async for message in self.messages(begun + seconds):
            self.on_message(message)
            if pause and (sleep := pause(time.monotonic() - begun)) > 0:
                await asyncio.sleep(sleep)
        return self.report

    async def messages(self, until: float) -> AsyncIterator[str]:
        """Messages as they come, until a moment of the monotonic clock or the end of the connection."""
        assert self._socket
        while (left := until - time.monotonic()) > 0:
            try:
                yield await asyncio.wait_for(self._socket.recv(), left)
            except asyncio.TimeoutError:
                return
            except ConnectionClosed as closed:
                frame = closed.rcvd
                self.report.closed = f"{frame.code} {frame.reason}".strip() if frame else "without a close frame"
                return

    # -- what comes in

    def on_message(self, text: str) -> None:
        """Takes one message; needs no socket."""
        received_ns = self.clock_ns()
        message = json.loads(text)
        if "channel" not in message:
            self._on_reply(message)
        elif message["channel"] == "heartbeat":
            self._on_heartbeat(message)
        elif message["channel"] == "system":
            self._on_system(message)
        else:
            self._on_frame(message, received_ns)

    def _entry(self, channel: str, symbol: str) -> Entry:
        key = (channel, symbol)
        if key not in self._entries:
            chain: Chain
            if channel == "book":
                chain = self.books[symbol] = Book(self.depth)
            elif channel == "mbo":
                chain = self.orders[symbol] = Orders()
            else:
                chain = Chain()
            self._entries[key] = Entry(channel, symbol, chain)
        return self._entries[key]

    def _on_reply(self, reply: dict) -> None:
        for warning in reply.get("warnings", []):
            self.report.warnings[warning if isinstance(warning, str) else json.dumps(warning)] += 1
        if not reply["success"]:
            self.report.refused[reply["error"]["code"]] += 1
            self.report.note(f"refused: {reply['error']}")
            return
        result = reply["result"]
        # The heartbeat has no chain, and a wildcard's own reply none either: one reply per symbol follows it.
        if reply["method"] == "subscribe" and result.get("symbol", "*") != "*":
            entry = self._entry(result["channel"], result["symbol"])
            entry.sub_id = result["sub_id"]
            self._by_sub_id[entry.sub_id] = entry

    def _on_frame(self, frame: dict, received_ns: int) -> None:
        report = self.report
        channel, symbol = frame["channel"], frame["symbol"]
        report.frames[channel] += 1
        report.latency.add(received_ns - int(frame["ts_out"]))
        entry = self._entry(channel, symbol)
        decision = entry.chain.accept(frame)
        if decision == "replace":
            report.snapshots += 1
            report.epochs.add(frame["epoch"])
            entry.gap_named = False
            entry.asked_at = None
        elif decision == "resync":
            report.broken_chains += 1
            report.note(f"{channel} {symbol}: prev_seq {frame['prev_seq']} does not follow {entry.chain.have} (seq {frame['seq']})")
            self._resync(entry)
        elif decision == "drop":
            report.repeats += 1
        elif decision == "wait":
            report.ignored += 1
            if entry.asked_at is not None and time.monotonic() - entry.asked_at > SNAPSHOT_WAIT_S:
                self._resync(entry)
        if decision in ("replace", "apply"):
            if channel == "status":
                self.phases[symbol] = frame["phase"]
            elif channel == "book":
                self._verify(entry, frame)
            self._compare(symbol)

    def _verify(self, entry: Entry, frame: dict) -> None:
        book = self.books[entry.symbol]
        computed = book.checksum()
        if computed == frame["checksum"]:
            self.report.verified += 1
        else:
            self.report.mismatches += 1
            self.report.note(f"{entry.symbol} seq {frame['seq']}: checksum {frame['checksum']}, computed {computed}")
            self._resync(entry)
        continuous = self.phases.get(entry.symbol) == "continuous"
        if continuous and book.bids and book.asks and exact(book.bids[0][0]) >= exact(book.asks[0][0]):
            self.report.crossed_while_continuous += 1
            self.report.note(f"{entry.symbol} seq {frame['seq']}: bid {book.bids[0][0]} >= ask {book.asks[0][0]} in continuous trading")

    def _compare(self, symbol: str) -> None:
        """Sum of the orders per price equals the levels, whenever both stand at the same number."""
        book, orders = self.books.get(symbol), self.orders.get(symbol)
        if book is None or orders is None or book.waiting or orders.waiting or orders.omitted or book.have != orders.have:
            return
        if book.bids == orders.levels("B", self.depth) and book.asks == orders.levels("A", self.depth):
            self.report.order_book_agreements += 1
        else:
            self.report.order_book_differences += 1
            self.report.note(f"{symbol} at {book.have}: mbo {orders.levels('B', 3)} {orders.levels('A', 3)}, book {book.bids[:3]} {book.asks[:3]}")

    def _resync(self, entry: Entry) -> None:
        entry.chain.waiting = True
        entry.asked_at = time.monotonic()
        self.report.resyncs += 1
        self.request("get_snapshot", {"channel": entry.channel, "symbol": [entry.symbol]})

    def _on_heartbeat(self, frame: dict) -> None:
        # A heartbeat is queued behind all frames it counts: whoever is behind it has lost one.
        for sub_id, seq in frame["subscriptions"].items():
            entry = self._by_sub_id.get(int(sub_id))
            if entry is None or seq is None or entry.chain.waiting or entry.chain.have is None:
                continue
            if entry.chain.have[0] == frame["epoch"] and entry.chain.have[1] < seq:
                self.report.behind += 1
                self.report.note(f"{entry.channel} {entry.symbol}: heartbeat says {seq}, have {entry.chain.have}")
                self._resync(entry)

    def _on_system(self, frame: dict) -> None:
        if frame["type"] == "gap":
            self.report.gaps[frame["reason"]] += 1
            entry = self._by_sub_id.get(frame["sub_id"]) if frame["sub_id"] is not None else None
            if entry:
                # The snapshot follows unasked; until then updates are not ours to apply.
                entry.gap_named = True
                entry.chain.waiting = True
        elif frame["type"] == "warning":
            self.report.warnings[frame["code"]] += 1
        elif frame["type"] == "epoch":
            self.report.epochs.add(frame["epoch"])

    @property
    def whole(self) -> int:
        """Books that stand on a snapshot and have no hole."""
        return sum(1 for book in self.books.values() if not book.waiting)
