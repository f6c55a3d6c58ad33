"""The client against the vectors of the document, and against messages that a socket would bring."""

import json
import random
import re
from decimal import Decimal
from pathlib import Path

import pytest
from bist_ws import Book, BookClient, Chain, Orders, Percentiles, bare, checksum

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "websocket.md"


def vectors(name: str) -> list[dict]:
    match = re.search(r"```json " + name + r"\n(.*?)\n```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"no block {name} in {DOCUMENT}"
    return json.loads(match[1])


def frame(**fields) -> dict:
    return {"channel": "book", "type": "update", "symbol": "THYAO", "epoch": 7, "seq": 1, "prev_seq": 0, "ts_out": "0", "bids": [], "asks": [], "checksum": 0} | fields


@pytest.mark.parametrize("vector", vectors("checksum-vectors"), ids=lambda v: v["name"])
def test_checksum_vectors(vector):
    text = "".join(bare(price) + bare(quantity) for side in ("asks", "bids") for price, quantity in vector[side][:10])
    assert text == vector["text"]
    assert checksum(vector["asks"], vector["bids"]) == vector["checksum"]


def test_apply_vectors():
    book = Book(depth=2)
    for vector in vectors("apply-vectors"):
        assert book.accept(frame(**vector["frame"])) == vector["decision"], vector["why"]
        assert (book.bids, book.asks) == (vector["bids"], vector["asks"]), vector["why"]
        if vector["decision"] in ("apply", "replace"):
            assert book.checksum() == vector["frame"]["checksum"], vector["why"]


def test_a_level_may_pass_through_the_depth_within_a_frame():
    book = Book(depth=1)
    book.accept(frame(type="snapshot", bids=[["10.00", "5", 1]]))
    book.accept(frame(seq=2, prev_seq=1, bids=[["9.99", "7", 1], ["10.00", "0", 0]]))
    assert book.bids == [["9.99", "7", 1]]


def test_without_a_snapshot_the_reply_begins_the_chain():
    chain = Chain()
    chain.start_at(7, 100)
    assert chain.accept(frame(seq=104, prev_seq=100)) == "apply"


def test_random_frames_give_the_plain_book():
    generator = random.Random(20261123)
    book, plain = Book(depth=5), ({}, {})
    book.accept(frame(type="snapshot"))
    for seq in range(2, 4000):
        changes = ([], [])
        for _ in range(generator.randint(1, 4)):
            side, price = generator.randint(0, 1), str(Decimal(generator.randint(9990, 10020)) / 100 + Decimal("0.00"))
            if any(level[0] == price for level in changes[side]):
                continue
            quantity = generator.choice([0, generator.randint(1, 1000)])
            changes[side].append([price, str(quantity), 1])
            plain[side][price] = [price, str(quantity), 1]
        assert book.accept(frame(seq=seq, prev_seq=seq - 1, bids=changes[0], asks=changes[1])) == "apply"
        for side, levels in enumerate(plain):
            kept = sorted((v for v in levels.values() if v[1] != "0"), key=lambda v: Decimal(v[0]), reverse=side == 0)[:5]
            levels.clear()
            levels.update((level[0], level) for level in kept)
            assert (book.bids, book.asks)[side] == kept


def client(**more) -> BookClient:
    return BookClient("ws://nowhere", clock_ns=lambda: 1_000_000, **more)


def give(c: BookClient, message: dict) -> None:
    c.on_message(json.dumps(message))


def sent(c: BookClient) -> list[dict]:
    out = []
    while not c._requests.empty():
        out.append(c._requests.get_nowait())
    return out


def subscribed(c: BookClient, channel="book", symbol="THYAO", sub_id=12) -> None:
    give(c, {"method": "subscribe", "req_id": 1, "success": True, "result": {"channel": channel, "symbol": symbol, "sub_id": sub_id, "epoch": 7, "seq": 0}, "warnings": []})


def test_a_hole_is_a_fault_and_resynchronises_one_symbol():
    c = client()
    for symbol in ("THYAO", "GARAN"):
        give(c, frame(type="snapshot", symbol=symbol, seq=10))
    give(c, frame(seq=14, prev_seq=12))
    give(c, frame(seq=15, prev_seq=14))
    give(c, frame(symbol="GARAN", seq=16, prev_seq=10))
    assert [r["params"] for r in sent(c)] == [{"channel": "book", "symbol": ["THYAO"]}]
    assert (c.report.broken_chains, c.report.ignored, c.whole, c.report.ok) == (1, 1, 1, False)
    give(c, frame(type="snapshot", seq=20))
    assert c.whole == 2


def test_a_wrong_checksum_is_a_fault():
    c = client()
    give(c, frame(type="snapshot", checksum=1))
    assert (c.report.mismatches, c.report.ok, c.whole) == (1, False, 0)
    assert sent(c)[0]["method"] == "get_snapshot"


def test_a_gap_that_the_server_names_is_no_fault():
    c = client()
    subscribed(c)
    give(c, frame(type="snapshot", seq=10))
    give(c, {"channel": "system", "type": "gap", "sub_id": 12, "channel_of": "book", "symbol": "THYAO", "epoch": 7, "from_seq": 11, "to_seq": 30, "reason": "slow_reader"})
    assert c.whole == 0
    give(c, frame(type="snapshot", seq=31))
    give(c, frame(seq=33, prev_seq=31))
    assert (c.report.gaps["slow_reader"], c.report.ok, c.whole, sent(c)) == (1, True, 1, [])


def test_the_reply_of_a_wildcard_is_no_book():
    c = client()
    give(c, {"method": "subscribe", "req_id": 1, "success": True, "result": {"channel": "book", "symbol": "*", "symbols": 1, "sub_id": 11}, "warnings": []})
    subscribed(c)
    assert list(c.books) == ["THYAO"]


def test_a_heartbeat_shows_a_loss_at_the_end():
    c = client()
    subscribed(c)
    give(c, frame(type="snapshot", seq=10))
    beat = {"channel": "heartbeat", "type": "heartbeat", "epoch": 7, "seq": 99}
    give(c, beat | {"subscriptions": {"12": 10}})
    give(c, beat | {"subscriptions": {"12": None}})
    assert c.report.ok
    give(c, beat | {"subscriptions": {"12": 13}})
    assert (c.report.behind, c.report.ok) == (1, False)


def test_hello_and_system_types_of_later_servers_change_nothing():
    c = client()
    subscribed(c)
    give(c, {"channel": "system", "type": "hello", "version": "9", "epoch": 7, "source": "sim", "simulated": True, "subscriptions_max": 16384, "ts_out": "1"})
    give(c, {"channel": "system", "type": "not_known_yet", "ts_out": "1"})
    give(c, frame(type="snapshot", seq=10))
    assert (c.report.ok, c.whole, sent(c)) == (True, 1, [])


def test_orders_keep_their_queues():
    orders = Orders()
    orders.accept({"type": "snapshot", "epoch": 7, "seq": 1, "orders": [["1", "B", None, "50"], ["2", "B", "312.50", "400"], ["3", "B", "312.50", "1000"], ["2", "A", "312.75", "7"]]})
    changes = [
        {"action": "A", "order_id": "4", "side": "B", "price": "312.50", "quantity": "100", "position": 2},
        {"action": "F", "order_id": "2", "side": "B", "price": "312.50", "quantity": "150", "position": 0},
        {"action": "M", "order_id": "3", "side": "B", "price": "312.25", "quantity": "900", "position": 1},
        {"action": "C", "order_id": "2", "side": "A", "price": "312.75", "quantity": "0", "position": 0},
    ]
    assert orders.accept({"type": "update", "epoch": 7, "seq": 5, "prev_seq": 1, "changes": changes}) == "apply"
    assert list(orders.queues["B"]["312.50"].items()) == [("2", "150"), ("4", "100")]
    assert orders.levels("B", 10) == [["312.50", "250", 2], ["312.25", "900", 1]]
    assert orders.levels("A", 10) == []
    orders.accept({"type": "update", "epoch": 7, "seq": 6, "prev_seq": 5, "changes": [{"action": "R"}]})
    assert orders.levels("B", 10) == []


def test_orders_and_levels_are_compared_at_the_same_number():
    c = client(mbo=True)
    give(c, frame(type="snapshot", seq=5, bids=[["1.00", "3", 2]], checksum=checksum([], [["1.00", "3", 2]])))
    give(c, {"channel": "mbo", "type": "snapshot", "symbol": "THYAO", "epoch": 7, "seq": 5, "prev_seq": 0, "ts_out": "0", "orders": [["1", "B", "1.00", "1"], ["2", "B", "1.00", "2"]]})
    assert c.report.order_book_agreements == 1
    give(c, {"channel": "mbo", "type": "snapshot", "symbol": "THYAO", "epoch": 7, "seq": 5, "prev_seq": 0, "ts_out": "0", "orders": [["1", "B", "1.00", "1"]]})
    assert (c.report.order_book_differences, c.report.ok) == (1, False)


def test_percentiles_stay_within_a_thirty_second():
    p = Percentiles()
    for value in range(1, 100_001):
        p.add(value)
    p.add(-5)
    for percent in (50, 90, 99, 99.9):
        exact = percent * 1000
        assert exact * (1 - 1 / 32) - 1 <= p.at(percent) <= exact
    assert (p.count, p.negative, p.max) == (100_000, 1, 100_000)
