"""Disciplines, models and sources in Python: they agree with their twins in Rust, and what goes wrong in them is told."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import polars
import pytest

import taunet


@taunet.register("py-fifo")
class Fifo(taunet.Discipline):
    """First in, first out, with a limit in packets: `fifo`."""

    def __init__(self, limit: int = 2**62) -> None:
        self.limit = limit
        self.queue: deque[taunet.Packet] = deque()

    def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
        if len(self.queue) < self.limit:
            self.queue.append(packet)
        else:
            self.drop(packet)

    def next(self, now_ps: int) -> taunet.Packet | None:
        return self.queue.popleft() if self.queue else None


@taunet.register("py-priority")
class Priority(taunet.Discipline):
    """Strict priority by code point, the classes limited in packets: `priority`."""

    def __init__(self, dscp: list[int], limit: int) -> None:
        self.dscp, self.limit = dscp, limit
        self.queues: list[deque[taunet.Packet]] = [deque() for _ in range(len(dscp) + 1)]

    def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
        queue = self.queues[self.dscp.index(packet.dscp) if packet.dscp in self.dscp else -1]
        if len(queue) < self.limit:
            queue.append(packet)
        else:
            self.drop(packet)

    def next(self, now_ps: int) -> taunet.Packet | None:
        for queue in self.queues:
            if queue:
                return queue.popleft()
        return None


@taunet.register("py-drr")
class Drr(taunet.Discipline):
    """Deficit round robin per flow, each with a limit in packets: `drr` with `classes = "per-flow"`."""

    def __init__(self, quantum: int, flow_limit: int) -> None:
        self.quantum, self.flow_limit = quantum, flow_limit
        self.queues: dict[int, deque[taunet.Packet]] = {}
        self.deficits: dict[int, int] = {}
        self.active: deque[int] = deque()
        self.is_credited = False

    def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
        queue = self.queues.setdefault(packet.fid, deque())
        if len(queue) >= self.flow_limit:
            self.drop(packet)
            return
        queue.append(packet)
        if packet.fid not in self.active:
            self.active.append(packet.fid)
            self.deficits[packet.fid] = 0

    def next(self, now_ps: int) -> taunet.Packet | None:
        while self.active:
            fid = self.active[0]
            if not self.is_credited:
                self.deficits[fid] += self.quantum
                self.is_credited = True
            head = self.queues[fid][0]
            if head.length <= self.deficits[fid]:
                self.deficits[fid] -= head.length
                self.queues[fid].popleft()
                if not self.queues[fid]:
                    self.active.popleft()
                    self.is_credited = False
                return head
            self.active.rotate(-1)
            self.is_credited = False
        return None


@taunet.register("py-shaper")
class Shaper(taunet.Discipline):
    """At most one packet per interval: it says when it is asked again."""

    def __init__(self, interval_ps: int) -> None:
        self.interval_ps, self.free_ps = interval_ps, 0
        self.queue: deque[taunet.Packet] = deque()

    def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
        self.queue.append(packet)

    def next(self, now_ps: int) -> taunet.Packet | int:
        if now_ps < self.free_ps:
            return self.free_ps
        self.free_ps = now_ps + self.interval_ps
        return self.queue.popleft()


@taunet.register("py-lindley")
class Lindley(taunet.BatchPtm):
    """The recursion of Lindley over arrays: `fifo` without a limit."""

    features = ("gap_ps", "service_ps")

    def __init__(self) -> None:
        self.wait = self.service = 0.0

    def waits(self, features: Any) -> Any:
        gap, service = features.T
        # W[n] = max(0, W[n-1] + S[n-1] - A[n]): a sum less its least value so far.
        steps = numpy.concatenate(([self.service], service[:-1])) - gap
        sums = self.wait + numpy.cumsum(steps)
        waits = sums - numpy.minimum(numpy.minimum.accumulate(sums), 0.0)
        self.wait, self.service = waits[-1], service[-1]
        return waits


@taunet.register("py-cbr")
class Cbr(taunet.Source):
    """Packets at even intervals: `cbr`."""

    def __init__(self, to: str, size: int, interval_ps: int, packets: int, dscp: int = 0) -> None:
        self.to, self.size, self.interval_ps, self.packets, self.dscp = to, size, interval_ps, packets, dscp

    def __iter__(self) -> Iterator[taunet.Emission]:
        flow = self.flow_to(self.to)
        for number in range(self.packets):
            yield taunet.Emission(number * self.interval_ps, self.size, flow, dscp=self.dscp)


def results(ptm: dict[str, Any], engine: str = "auto", threads: int = 1, back: bool = False, **options: Any) -> taunet.Results:
    """Two hosts send more than the port of a third carries, with two code points and two lengths."""
    network = taunet.star(3, bandwidth="10 Mbps", delay="1 us", ptm=ptm)
    common = {"kind": "poisson", "to": "h0", "rate": "7 Mbps", "packets": 1500}
    traffic = [{**common, "from": "h1", "size": "1000 B", "dscp": 46}, {**common, "from": "h2", "size": "400 B"}]
    if back:
        traffic.append({**common, "from": "h0", "to": "h1", "size": "400 B"})
    scenario = {"name": "twins", "topology": network, "traffic": traffic, "record": {"hops": True}, **options}
    return taunet.run(scenario, engine=engine, threads=threads)


def assert_same(first: taunet.Results, second: taunet.Results) -> None:
    """Packet by packet and departure by departure."""
    assert first.fingerprint == second.fingerprint
    assert set(first.tables) == set(second.tables)
    for name in first.tables:
        here, there = (it.tables[name].to_polars() for it in (first, second))
        texts = [column for column in here.columns if here.schema[column] == polars.Categorical]
        here, there = (frame.with_columns(polars.col(texts).cast(polars.String)) for frame in (here, there))
        assert here.equals(there), name


TWO = [{"match": {"dscp": 46}, "buffer": "10 packets"}, {"buffer": "10 packets"}]
TWINS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "fifo": ({"kind": "py-fifo"}, {"kind": "fifo"}, False),
    "fifo with a limit": ({"kind": "py-fifo", "limit": 10}, {"kind": "fifo", "buffer": "10 packets"}, True),
    "priority": ({"kind": "py-priority", "dscp": [46], "limit": 10}, {"kind": "priority", "class": TWO}, True),
    "drr": (
        {"kind": "py-drr", "quantum": 500, "flow_limit": 10},
        {"kind": "drr", "classes": "per-flow", "quantum": "500 B", "flow_buffer": "10 packets"},
        True,
    ),
    "in a class": (
        {"kind": "priority", "class": [{"match": {"dscp": 46}}, {"ptm": {"kind": "py-fifo", "limit": 10}}]},
        {"kind": "priority", "class": [{"match": {"dscp": 46}}, {"buffer": "10 packets"}]},
        True,
    ),
    "lindley": ({"kind": "py-lindley"}, {"kind": "fifo"}, False),
}


@pytest.mark.parametrize("engine", ["event", "stream"])
@pytest.mark.parametrize("name", TWINS)
def test_a_twin_in_python_is_that_in_rust(name: str, engine: str) -> None:
    here, there, drops = TWINS[name]
    found = results(here, engine, threads=2)
    assert_same(found, results(there))
    assert (found.summary["packets"]["dropped"] > 0) == drops


def test_what_waits_at_the_end_is_that_in_rust() -> None:
    found, there = (results(ptm, until="200 ms") for ptm in ({"kind": "py-fifo"}, {"kind": "fifo"}))
    assert_same(found, there)
    assert found.summary["packets"]["inside"] > 10


def test_a_discipline_says_when_it_is_asked_again() -> None:
    departures = results({"kind": "py-shaper", "interval_ps": 2_000_000_000}).hops.to_polars()
    times = departures.filter(device="s0").sort("egress_ps")["egress_ps"].to_numpy()
    assert len(times) == 3000 and numpy.diff(times).min() >= 2_000_000_000


@pytest.mark.parametrize("engine", ["event", "stream"])
def test_a_source_in_python_is_that_in_rust(engine: str) -> None:
    common = {"name": "even", "from": "h1", "to": "h0", "packets": 500, "dscp": 46}
    here = {**common, "kind": "py-cbr", "size": 1000, "interval_ps": 1_000_000_000}
    there = {**common, "kind": "cbr", "size": "1000 B", "interval": "1 ms"}
    found, twin = (
        taunet.run({"name": "x", "topology": taunet.star(3), "traffic": [it], "record": {"hops": True}}, engine=engine)
        for it in (here, there)
    )
    assert_same(found, twin)
    assert found.summary["packets"]["delivered"] == 500


def test_an_object_knows_its_place() -> None:
    known: list[tuple[Any, ...]] = []

    @taunet.register("py-knows")
    class Knows(Fifo):
        def __init__(self) -> None:
            super().__init__()
            known.append((self.port, self.rate_bps, self.seed))

        def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
            super().arrive(packet, now_ps)
            assert (self.backlog_packets, packet.arrived_ps) == (len(self.queue), now_ps)
            assert self.backlog_bytes == sum(it.length for it in self.queue)
            flow = packet.flow
            if self.port == "s0:0":
                assert (flow.destination, flow.protocol, flow.fid) == ("10.0.0.1", "UDP", packet.fid)
                assert (packet.dscp, packet.length) in [(46, 1000), (0, 400)] and packet.in_port in (1, 2)
                assert str(flow).startswith(f"{flow.source}:{flow.source_port} > ")

    results({"kind": "py-knows"})
    first = list(known)
    assert {place for place, _, _ in first} == {"s0:0", "s0:1", "s0:2"} and {rate for _, rate, _ in first} == {10_000_000}
    assert len({seed for _, _, seed in first}) == len(first)
    results({"kind": "py-knows"})
    assert known == first * 2
    results({"kind": "py-knows"}, seed=5)
    assert not {it[2] for it in first} & {it[2] for it in known[-len(first):]}


def test_drops_have_their_reason_and_marks_are_seen() -> None:
    @taunet.register("py-marks")
    class Marks(Fifo):
        def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
            if packet.pid % 5 == 0:
                self.drop(packet, "early-drop")
            else:
                assert self.mark(packet) == (packet.ecn != 0)
                self.queue.append(packet)

    found = results({"kind": "py-marks"})
    assert {drop["reason"] for drop in found.summary["drops"]} == {"early-drop"}


def test_a_kind_keeps_its_class_in_what_was_read_before() -> None:
    taunet.register("py-again", Fifo)
    scenario = taunet.Scenario.from_dict({
        "name": "x",
        "topology": taunet.star(2, ptm={"kind": "py-again", "limit": 3}),
        "traffic": [{"kind": "cbr", "from": "h0", "to": "h1", "rate": "1 Mbps", "size": "1000 B", "packets": 5}],
    })
    taunet.register("py-again", Priority)
    assert scenario.run().summary["packets"]["delivered"] == 5
    with pytest.raises(taunet.ConfigError, match="missing key `dscp` in `py-again`"):
        taunet.star(2, ptm={"kind": "py-again", "limit": 3})


def test_a_model_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    @taunet.register("py-torch")
    class Learned(taunet.BatchPtm):
        features = ("fifo_wait_ps", "service_ps", "length")

        def __init__(self) -> None:
            torch.manual_seed(1)
            self.network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1), torch.nn.Softplus())

        def waits(self, features: Any) -> Any:
            scaled = torch.from_numpy(features / [1e9, 1e9, 1000]).float()
            return 1e9 * self.network(scaled)

    found = results({"kind": "py-torch"})
    assert found.summary["packets"]["delivered"] == 3000
    hops = found.hops.to_polars().filter(device="s0").sort("joined_ps", "pid")
    assert (hops["egress_ps"].diff().drop_nulls() >= 320_000_000).all() and (hops["egress_ps"] > hops["joined_ps"]).all()


def discipline(**methods: Any) -> Callable[[], object]:
    """A run with a FIFO that differs in some methods."""

    def call() -> object:
        taunet.register("py-wrong", type("Wrong", (Fifo,), methods))
        return results({"kind": "py-wrong"}, engine="event", back=True)

    return call


def batch(waits: Callable[[Any], Any]) -> Callable[[], object]:
    def call() -> object:
        taunet.register("py-wrong", type("Wrong", (taunet.BatchPtm,), {"waits": lambda _, features: waits(features)}))
        return results({"kind": "py-wrong"})

    return call


def source(*packets: Any, entry: dict[str, Any] | None = None) -> Callable[[], object]:
    def call() -> object:
        taunet.register("py-wrong", type("Wrong", (taunet.Source,), {"__iter__": lambda self: iter(packets)}))
        traffic = [{"kind": "py-wrong", "from": "h1", **(entry or {})}]
        return taunet.run({"name": "x", "topology": taunet.star(3), "traffic": traffic})

    return call


def raises(error: BaseException) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


def twice(self: Fifo, packet: taunet.Packet, now_ps: int) -> None:
    self.drop(packet)
    self.drop(packet)


def drop_what_was_sent(self: Any, now_ps: int) -> Any:
    if hasattr(self, "last"):
        self.drop(self.last)
    self.last = self.queue.popleft()
    return self.last


def again(self: Any, now_ps: int) -> Any:
    self.first = getattr(self, "first", self.queue[0])
    return self.first


KEPT: list[Any] = []


def of_another(self: Any, now_ps: int) -> Any:
    KEPT.append((self.port, self.queue[0]))
    return next((packet for port, packet in KEPT if port != self.port), None) or self.queue.popleft()


def half_of_them(features: Any) -> Any:
    return numpy.zeros(len(features) // 2)


FLOW = "10.0.0.2:5000 > 10.0.0.1:9 UDP"
LATE: dict[str, tuple[Callable[[], object], type[BaseException] | None, str]] = {
    "arrive raises": (discipline(arrive=raises(KeyError("x"))), KeyError, "`py-wrong` at .*: arrive: KeyError: 'x'"),
    "next raises": (discipline(next=raises(ZeroDivisionError("no"))), ZeroDivisionError, "next: ZeroDivisionError: no"),
    "__init__ raises": (discipline(__init__=raises(OSError("gone"))), OSError, "__init__: OSError: gone"),
    "no exception of Exception": (discipline(next=raises(SystemExit(3))), SystemExit, "next: SystemExit: 3"),
    "an interrupt": (discipline(next=raises(GeneratorExit())), GeneratorExit, "next: GeneratorExit$"),
    "endless recursion": (discipline(next=lambda self, now: self.next(now)), RecursionError, "recursion"),
    "arrive returns": (discipline(arrive=lambda self, packet, now: packet), TypeError, "returned <taunet.Packet .*returns nothing"),
    "arrive takes too few": (discipline(arrive=lambda self, packet: None), TypeError, "positional argument"),
    "next is no method": (discipline(next=5), TypeError, "not callable"),
    "dropped twice": (discipline(arrive=twice), ValueError, "packet .* is dropped, but does not wait here"),
    "dropped after it was sent": (discipline(next=drop_what_was_sent), ValueError, "is dropped, but does not wait"),
    "sent twice": (discipline(next=again), ValueError, "is returned, but does not wait here"),
    "of another port": (discipline(next=of_another), ValueError, "is returned, but does not wait here.* is of another port"),
    "next returns None": (discipline(next=lambda self, now: None), ValueError, "returned None while 1 packets? wait"),
    "next returns a text": (discipline(next=lambda self, now: "packet"), TypeError, "returned 'packet': return a packet"),
    "next returns a float": (discipline(next=lambda self, now: now + 1e9), TypeError, "a whole number of picoseconds"),
    "next returns True": (discipline(next=lambda self, now: True), TypeError, "returned True"),
    "next returns the past": (discipline(next=lambda self, now: now), ValueError, "no instant after now"),
    "next returns too much": (discipline(next=lambda self, now: 2**64), ValueError, "no instant after now"),
    "a drop of a number": (discipline(arrive=lambda self, packet, now: self.drop(5)), TypeError, "a value of type int is no packet"),
    "a drop without a reason": (discipline(arrive=lambda self, packet, now: self.drop(packet, "bored")), ValueError, "write one of \"buffer-full\""),
    "a mark of a dropped packet": (discipline(arrive=lambda self, packet, now: (self.drop(packet), self.mark(packet))), ValueError, "is marked, but"),
    "waits raises": (batch(raises(ValueError("bad"))), ValueError, "waits: ValueError: bad"),
    "waits returns None": (batch(lambda _: None), TypeError, "returned None: return an array"),
    "waits returns a text": (batch(lambda _: "now"), TypeError, "no array of numbers"),
    "waits returns NaN": (batch(lambda features: numpy.full(len(features), numpy.nan)), ValueError, "packet 0 of .* waits nan ps, which is no waiting time: it had the features gap_ps"),
    "waits returns a negative": (batch(lambda features: -features[:, 1]), ValueError, "waits -.* ps, which is no waiting"),
    "waits returns infinity": (batch(lambda features: features[:, 0] + numpy.inf), ValueError, "longer than a run can last"),
    "waits returns too few": (batch(half_of_them), ValueError, "of the shape \\(.*,\\) for .* packets"),
    "waits returns a matrix": (batch(lambda features: features), ValueError, "of the shape"),
    "waits returns a number": (batch(lambda _: 0.0), ValueError, "of the shape \\(\\) for"),
    "a number as a packet": (source(5), TypeError, "5 is no packet: yield"),
    "a short tuple": (source((0, 100)), TypeError, "is no packet: yield"),
    "a time as a float": (source((0.5, 100, FLOW)), TypeError, "the instant in picoseconds: 0.5 is not a whole number"),
    "a negative time": (source((-1, 100, FLOW)), ValueError, "the instant in picoseconds: -1"),
    "back in time": (source((9, 100, FLOW), (5, 100, FLOW)), ValueError, "a packet at 5 ps after one at 9 ps"),
    "an empty packet": (source((0, 0, FLOW)), ValueError, "at least 1 byte"),
    "a flow that is none": (source((0, 100, "h1 to h2")), ValueError, "is not a flow; write it as"),
    "a flow as a number": (source((0, 100, 7)), TypeError, "the flow: 7 is not a text"),
    "a code point out of range": (source((0, 100, FLOW, 64)), ValueError, "dscp: 64 is not a whole number from 0 to 63"),
}


@pytest.mark.parametrize("name", LATE)
def test_an_exception_ends_the_run_and_is_its_cause(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    call, cause, said = LATE[name]
    KEPT.clear()
    with pytest.raises(taunet.RunError, match=said) as caught:
        call()
    assert type(caught.value.__cause__) is cause
    assert capfd.readouterr().err == ""


EARLY: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown key": (lambda: taunet.star(2, ptm={"kind": "py-fifo", "limmit": 3}), "unknown key `limmit` in `py-fifo` \\(allowed: `limit`\\)"),
    "a missing key": (lambda: taunet.star(2, ptm={"kind": "py-drr", "quantum": 1}), "missing key `flow_limit` in `py-drr`"),
    "an unknown kind": (lambda: taunet.star(2, ptm={"kind": "py-fifi"}), "py-fifi"),
    "a whole port in a class": (lambda: taunet.star(2, ptm={"kind": "priority", "class": [{"ptm": {"kind": "py-lindley"}}]}), "`py-lindley` is a model of a whole port"),
    "a key of a source": (source(entry={"rate": 5}), "unknown key `rate` in `py-wrong` \\(it has no keys\\)"),
    "a function": (lambda: taunet.register("x", print), "is not a class"),  # type: ignore[call-overload]
    "a class of something else": (lambda: taunet.register("x", dict), "subclass of none of"),  # type: ignore[type-var]
    "no method": (lambda: taunet.register("x", type("X", (taunet.Discipline,), {"arrive": print})), "X has no method `next`"),
    "no name": (lambda: taunet.register("", Fifo), "the name is empty"),
    "a name of another type": (lambda: taunet.register(5, Fifo), "kind: 5"),  # type: ignore[call-overload]
    "an unknown feature": (lambda: taunet.register("x", type("X", (Lindley,), {"features": ("gap",)})), "'gap' is none of arrival_ps, gap_ps"),
    "features as a text": (lambda: taunet.register("x", type("X", (Lindley,), {"features": "gap_ps"})), "is not a tuple of names"),
    "no features": (lambda: taunet.register("x", type("X", (Lindley,), {"features": ()})), "there are none"),
}


@pytest.mark.parametrize("name", EARLY)
def test_what_is_wrong_before_a_run_is_told_before_it(name: str) -> None:
    call, said = EARLY[name]
    with pytest.raises((taunet.ConfigError, taunet.ArgumentError), match=said):
        call()


def test_ctrl_c_ends_a_run_with_a_discipline_in_python() -> None:
    @taunet.register("py-slow")
    class Slow(Fifo):
        def arrive(self, packet: taunet.Packet, now_ps: int) -> None:
            time.sleep(0.001)
            super().arrive(packet, now_ps)

    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        results({"kind": "py-slow"})
    assert time.monotonic() - began < 1.5
