"""The workload that all simulators of the bench run (benches/workload.rs in Python): topology, routes, splitmix64 streams."""

import math

MASK = (1 << 64) - 1


class Random:
    """splitmix64, seeded by the host."""

    def __init__(self, host):
        self.state = (12345 + (host + 1) * 0xD1B54A32D192ED03) & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def gap(self, mean_ns):
        """An exponential gap, rounded to nanoseconds."""
        uniform = ((self.next() >> 11) + 1) * (1.0 / 9007199254740992.0)
        return int(-math.log(uniform) * mean_ns + 0.5)

    def other_host(self, host, hosts):
        """Another host than `host`, all alike."""
        other = self.next() % (hosts - 1)
        return other + 1 if other >= host else other


class Workload:
    """One network with its senders. Hosts are the first nodes; a port is one direction of a link."""

    def __init__(self, name):
        self.to = []  # per port: the node that it leads to
        self.route = {}  # (node, destination host): the port
        self.only_destination = None
        if name == "line1":
            self._line()
        elif name.startswith("ft"):
            self._fat_tree(int(name[2:]))
        else:
            raise SystemExit(f"no such workload: {name} (line1, ft4, ft8, ...)")

    def destination(self, host, random):
        if self.only_destination is not None:
            return self.only_destination
        return random.other_host(host, self.hosts)

    def _add(self, node, neighbour, serves):
        """Adds a port, and routes to it every destination that `serves` holds for."""
        self.to.append(neighbour)
        for host in filter(serves, range(self.hosts)):
            self.route[node, host] = len(self.to) - 1

    def _line(self):
        """host - 4 switches - host."""
        self.hosts, self.nodes = 2, 6
        path = [0, 2, 3, 4, 5, 1]
        for node, neighbour in zip(path, path[1:]):
            self._add(node, neighbour, lambda host: host == 1)
        self.senders, self.only_destination = [0], 1
        self.mean_gap_ns = 8000.0 / 0.7

    def _fat_tree(self, k):
        """A k-ary fat tree with D-mod-k routes."""
        half = k // 2
        in_pod = half * half
        self.hosts = k * in_pod
        edges = k * half
        self.nodes = self.hosts + 2 * edges + in_pod

        def edge(pod, number):
            return self.hosts + pod * half + number

        def aggregation(pod, number):
            return self.hosts + edges + pod * half + number

        def core(group, number):
            return self.hosts + 2 * edges + group * half + number

        def edge_of(host):
            return edge(host // in_pod, host // half % half)

        pods, halves = range(k), range(half)
        for x in range(self.hosts):
            self._add(x, edge_of(x), lambda host: host != x)
        for pod in pods:
            for e in halves:
                for a in halves:
                    away = lambda host: host // half != pod * half + e and host % half == a
                    self._add(edge(pod, e), aggregation(pod, a), away)
            for a in halves:
                for j in halves:
                    away = lambda host: host // in_pod != pod and host // half % half == j
                    self._add(aggregation(pod, a), core(a, j), away)
        for a in halves:
            for j in halves:
                for pod in pods:
                    self._add(core(a, j), aggregation(pod, a), lambda host: host // in_pod == pod)
        for pod in pods:
            for a in halves:
                for e in halves:
                    below = lambda host: host // half == pod * half + e
                    self._add(aggregation(pod, a), edge(pod, e), below)
        for x in range(self.hosts):
            self._add(edge_of(x), x, lambda host: host == x)
        self.senders = list(range(self.hosts))
        self.mean_gap_ns = 16000.0
