"""Disciplines, models and sources in Python, as twins of taunet's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy

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
