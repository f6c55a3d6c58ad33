#!/usr/bin/env python3
"""Lets independent clients follow every book for a while and tells whether all they saw fits together.

    python soak.py --url ws://localhost:8083/ws/v2 --seconds 300 [--mbo] [--slow-reader]

Exit code 0: no checksum differed, no chain broke, no connection was closed on us. 1: something did. 2: usage.
With --slow-reader a further client pauses its reading until the server's bound is reached; it must be told of gaps, get snapshots
and end with right books like the others.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from bist_ws import BookClient, Report

PAUSE_EVERY_S = 20.0
"""The slow reader sleeps once in so long …"""
PAUSE_S = 8.0
"""… for so long; between the pauses it catches up."""
CATCH_UP_SHARE = 0.3
"""Share of the time after the last pause, in which the slow reader must become whole again."""


SLOW_RECEIVE_BYTES = 32 * 1024
"""Receive buffer of the slow reader, so that the kernel does not hide its pauses from the server."""


class Pauses:
    """One pause in each period, none so late that there is no time to recover."""

    def __init__(self, seconds: float, every_s: float, pause_s: float) -> None:
        self.last_start = max(0.0, seconds * (1 - CATCH_UP_SHARE) - pause_s)
        self.every_s = every_s
        self.pause_s = pause_s
        self.next_start = 2.0
        self.count = 0

    def __call__(self, elapsed: float) -> float:
        if elapsed < self.next_start or elapsed > self.last_start:
            return 0.0
        self.next_start = elapsed + self.pause_s + self.every_s
        self.count += 1
        return self.pause_s


@dataclass
class Seen:
    """What a client brings home from its own process."""

    report: Report
    books: int
    whole: int
    mbo: bool
    pauses: int


def follow(url: str, seconds: float, pauses: Pauses | None, options: dict) -> Seen:
    """One client in a process of its own: they do not share an event loop, so that none makes another one late."""

    async def run() -> Seen:
        client = BookClient(url, **options)
        async with client:
            await client.run(seconds, pauses)
        return Seen(client.report, len(client.books), client.whole, client.mbo, pauses.count if pauses else 0)

    return asyncio.run(run())


def milliseconds(value_ns: int | None) -> str:
    return "-" if value_ns is None else f"{value_ns / 1e6:.3f}"


def describe(name: str, client: Seen, seconds: float) -> str:
    r: Report = client.report
    frames = sum(r.frames.values())
    lines = [
        f"[{name}] frames {frames} ({frames / seconds:.0f}/s: {', '.join(f'{c} {n}' for c, n in sorted(r.frames.items()))})",
        f"    books {client.books}, whole {client.whole}; snapshots {r.snapshots}; epochs {sorted(r.epochs)}",
        f"    checksums verified {r.verified}, mismatches {r.mismatches}",
        f"    broken chains {r.broken_chains}, behind a heartbeat {r.behind}, repeats {r.repeats}, ignored {r.ignored}",
        f"    gaps {dict(r.gaps) or 0}, snapshots asked for {r.resyncs}",
        "    latency ts_out -> received, ms: "
        + ", ".join(f"p{p:g} {milliseconds(r.latency.at(p))}" for p in (50, 90, 99, 99.9))
        + f", max {milliseconds(r.latency.max)}"
        + (f" ({r.latency.negative} negative: clocks differ)" if r.latency.negative else ""),
    ]
    if client.mbo:
        lines.append(f"    orders against levels: agreed {r.order_book_agreements}, differed {r.order_book_differences}")
    if r.crossed_while_continuous:
        lines.append(f"    crossed while continuous {r.crossed_while_continuous}")
    if r.refused:
        lines.append(f"    refused {dict(r.refused)}")
    if r.warnings:
        lines.append(f"    warnings {dict(r.warnings)}")
    if r.closed:
        lines.append(f"    CLOSED BY THE SERVER: {r.closed}")
    return "\n".join(lines + [f"    ! {note}" for note in r.notes])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://localhost:8083/ws/v2")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--symbol", action="append", help="instead of all; repeatable")
    parser.add_argument("--mbo", action="store_true", help="one client rebuilds all orders too and compares them with the levels")
    parser.add_argument("--slow-reader", action="store_true", help="a third client that pauses")
    parser.add_argument("--pause-every", type=float, default=PAUSE_EVERY_S, metavar="S")
    parser.add_argument("--pause", type=float, default=PAUSE_S, metavar="S")
    parser.add_argument("--require-gap", action="store_true", help="fail unless the slow reader was told of a gap")
    args = parser.parse_args()
    if args.require_gap and not args.slow_reader:
        parser.error("--require-gap needs --slow-reader")

    common = {"symbols": args.symbol, "depth": args.depth}
    jobs: dict[str, tuple[Pauses | None, dict]] = {"plain": (None, common | {"mbo": args.mbo}), "conflated": (None, common | {"conflate_ms": 100})}
    if args.slow_reader:
        pauses = Pauses(args.seconds, args.pause_every, args.pause)
        jobs["slow"] = (pauses, common | {"mbo": True, "receive_bytes": SLOW_RECEIVE_BYTES})
    with ProcessPoolExecutor(len(jobs)) as processes:
        futures = {name: processes.submit(follow, args.url, args.seconds, pauses, options) for name, (pauses, options) in jobs.items()}
        clients = {name: future.result() for name, future in futures.items()}

    failures = []
    for name, seen in clients.items():
        print(describe(name, seen, args.seconds))
        if not seen.report.ok:
            failures.append(f"{name}: what it saw does not fit together")
        if seen.books == 0 or seen.report.verified == 0:
            failures.append(f"{name}: saw no book")
        elif seen.whole < seen.books:
            failures.append(f"{name}: {seen.books - seen.whole} books still wait for a snapshot")
    if args.slow_reader:
        slow = clients["slow"]
        gaps = slow.report.gaps["slow_reader"]
        print(f"slow reader: {slow.pauses} pauses, {gaps} gaps named by the server")
        if args.require_gap and gaps == 0:
            failures.append("slow: no gap; read slower (--pause) or raise the rate")
    for failure in failures:
        print(f"FAILED {failure}")
    print("soak: " + ("FAILED" if failures else "ok"))
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ConnectionError) as error:
        print(f"soak: cannot connect: {error}", file=sys.stderr)
        sys.exit(1)
