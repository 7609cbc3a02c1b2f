"""ns.py on the shared workload: packet transmissions per CPU-second.

    venv/bin/python bench.py line1|ft4|ft8 PACKETS

Its components: a Port without a limit and a Wire per direction of a link, a FIBDemux per node. A packet's flow_id is its
destination. Time is in seconds, as in ns.py's own examples.
"""

import sys
import time

import simpy
from ns.demux.fib_demux import FIBDemux
from ns.packet.packet import Packet
from ns.port.port import Port
from ns.port.wire import Wire

from workload import Random, Workload

PACKET_BYTES = 1000
BITS_PER_S = 1e9
DELAY_S = 10e-6


class Sink:
    """Adds up the delays of the packets that have arrived."""

    def __init__(self, env):
        self.env = env
        self.packets = 0
        self.delay_s = 0.0

    def put(self, packet):
        self.packets += 1
        self.delay_s += self.env.now - packet.time


def send(env, workload, host, packets, demux):
    """A sending host: per packet one gap, then one destination."""
    random = Random(host)
    for number in range(packets):
        yield env.timeout(random.gap(workload.mean_gap_ns) * 1e-9)
        destination = workload.destination(host, random)
        demux.put(Packet(env.now, PACKET_BYTES, number, src=host, flow_id=destination))


def build(env, workload, packets, sink):
    """The network; gives its ports."""
    ports = [Port(env, BITS_PER_S) for _ in workload.to]
    wires = [Wire(env, lambda: DELAY_S) for _ in workload.to]
    demuxes = []
    for node in range(workload.nodes):
        hosts = range(workload.hosts)
        table = {host: workload.route[node, host] for host in hosts if (node, host) in workload.route}
        ends = {node: sink} if node < workload.hosts else None
        demuxes.append(FIBDemux(fib=table, outs=ports, ends=ends))
    for port, wire, node in zip(ports, wires, workload.to):
        port.out = wire
        wire.out = demuxes[node]
    for host in workload.senders:
        env.process(send(env, workload, host, packets, demuxes[host]))
    return ports


def main(name, packets):
    workload = Workload(name)
    env = simpy.Environment()
    sink = Sink(env)
    ports = build(env, workload, packets // len(workload.senders), sink)
    start = time.process_time()
    env.run()
    cpu = time.process_time() - start
    hops = sum(port.packets_received for port in ports)
    print(
        f"engine=ns.py workload={name} packets={sink.packets} hops={hops} cpu_s={cpu:.4f} "
        f"mhops_per_cpu_s={hops / cpu / 1e6:.5f} mean_delay_us={sink.delay_s / sink.packets * 1e6:.4f}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], int(sys.argv[2]))
