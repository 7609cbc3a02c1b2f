"""ns.py's schedulers on one egress port of a 4-port switch, packet by packet.

Reads a schedule (CSV: time_ps, length, class, ingress port) and writes what each of ns.py's schedulers makes of it (CSV:
packet, and the end of transmission in ps by Port, SPServer, DRRServer and WFQServer). Buffers are unlimited.

    python -m venv venv && venv/bin/pip install ns.py==0.4.3
    venv/bin/python disciplines.py schedule.csv departures.csv   # from a schedule
    venv/bin/python disciplines.py --make 3000 1 schedule.csv departures.csv   # makes the schedule first: packets, seed

The schedules that it makes: four ingress ports, each with Poisson arrivals of its own class (a packet has the class of its
ingress port), lengths 64, 576 and 1514 bytes, together 0.9 of a link of 20 Mbps. A packet's own ingress link is not modelled.
"""

import csv
import heapq
import random
import sys

import simpy
from ns.packet.packet import Packet
from ns.port.port import Port
from ns.scheduler.drr import DRRServer
from ns.scheduler.sp import SPServer
from ns.scheduler.wfq import WFQServer

RATE = 20_000_000
LOAD = 0.9
WEIGHTS = [1, 2, 3, 4]
# ns.py's larger number goes first.
PRIORITIES = [4, 3, 2, 1]
# Shares of the load, by class.
SHARES = [0.4, 0.3, 0.2, 0.1]
LENGTHS = [64, 64, 64, 64, 576, 576, 576, 1514, 1514, 1514]


class Sink:
    """Keeps when each packet has left."""

    def __init__(self, env):
        self.env = env
        self.left = {}

    def put(self, packet, **_):
        self.left[packet.packet_id] = self.env.now


def make(packets, seed):
    """Poisson arrivals at four ports, merged: (time_ps, length, class, ingress port)."""
    generator = random.Random(seed)
    mean = sum(LENGTHS) / len(LENGTHS)
    queue = []

    def following(port, time):
        rate = LOAD * RATE * SHARES[port] / (8 * mean)
        return time + generator.expovariate(rate), port

    for port in range(4):
        heapq.heappush(queue, following(port, 0.0))
    schedule = []
    while len(schedule) < packets:
        time, port = heapq.heappop(queue)
        schedule.append((round(time * 1e12), generator.choice(LENGTHS), port, port))
        heapq.heappush(queue, following(port, time))
    return schedule


def departures(schedule, server):
    """When each packet of the schedule leaves `server(env)`."""
    env = simpy.Environment()
    scheduler, sink = server(env), Sink(env)
    scheduler.out = sink

    def source():
        for number, (time_ps, length, kind, _) in enumerate(schedule):
            yield env.timeout(time_ps * 1e-12 - env.now)
            scheduler.put(Packet(env.now, length, number, flow_id=kind))

    env.process(source())
    env.run()
    return sink.left


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--make":
        schedule = make(int(arguments[1]), int(arguments[2]))
        arguments = arguments[3:]
        with open(arguments[0], "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("time_ps", "length", "class", "ingress_port"), *schedule])
    else:
        with open(arguments[0], newline="") as file:
            schedule = [tuple(map(int, row)) for row in list(csv.reader(file))[1:]]
    servers = {
        "fifo": lambda env: Port(env, RATE),
        "priority": lambda env: SPServer(env, RATE, PRIORITIES),
        "drr": lambda env: DRRServer(env, RATE, WEIGHTS),
        "wfq": lambda env: WFQServer(env, RATE, WEIGHTS),
    }
    left = {name: departures(schedule, server) for name, server in servers.items()}
    with open(arguments[1], "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("packet", *servers))
        for number in range(len(schedule)):
            table.writerow((number, *(round(left[name][number] * 1e12) for name in servers)))


if __name__ == "__main__":
    main()
