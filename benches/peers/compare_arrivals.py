"""Two simulators on the same schedule: when each packet reaches each node, compared to the nanosecond.

    python compare_arrivals.py A.csv B.csv      (host,seq,node,arrival_ns; a row per packet and node on its way)

Counts the packets that arrive at the same instant in both, and explains those that do not. Two packets may reach one
egress port from different ingress ports at the same nanosecond: a tie, in which either may go first. Nothing else is
free: with the same packets, the same paths and unlimited FIFOs, every instant follows from the order within ties. So that
is what is checked, of each file alone: each port sends its packets in the order of their arrival, each when it has come
and the one before it is through. If both files hold to it, whatever differs between them descends from a tie. A tie is
broken differently where the same packets reach a port at the same instant in both and leave in another order.
"""

import csv
import sys
from collections import defaultdict

TRANSMISSION_NS = 8000
DELAY_NS = 10000


def read(path):
    """Per packet (host, seq): its (node, arrival_ns) on its way."""
    ways = defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            packet = int(row["host"]), int(row["seq"])
            ways[packet].append((int(row["node"]), int(row["arrival_ns"])))
    for way in ways.values():
        way.sort(key=lambda reached: reached[1])
    return ways


def ports(ways):
    """Per port (node, next node): its packets as (arrival_ns, departure_ns, packet, node before), in order."""
    passages = defaultdict(list)
    for packet, way in ways.items():
        before = None
        for (node, arrival), (following, reached) in zip(way, way[1:]):
            passages[node, following].append((arrival, reached - DELAY_NS, packet, before))
            before = node
    for passage in passages.values():
        passage.sort()
    return passages


def breaches(passages):
    """Passages that are not those of a FIFO that never idles while a packet waits."""
    count = 0
    for passage in passages.values():
        free = 0
        for arrival, departure, _, _ in passage:
            free = max(arrival, free) + TRANSMISSION_NS
            count += departure != free
    return count


def ties(passages):
    """Per port and instant, the packets that reach it together from different nodes, in the order in which they leave."""
    groups = defaultdict(list)
    for port, passage in passages.items():
        for arrival, _, packet, before in passage:
            groups[port, arrival].append((packet, before))
    return {
        place: [packet for packet, _ in group]
        for place, group in groups.items()
        if len({before for _, before in group}) > 1
    }


def main(first_path, second_path):
    first, second = read(first_path), read(second_path)
    if first.keys() != second.keys():
        raise SystemExit(f"the packets are not the same: {len(first)} and {len(second)}")
    for packet, way in first.items():
        if [node for node, _ in way] != [node for node, _ in second[packet]] or way[0] != second[packet][0]:
            raise SystemExit(f"packet {packet} takes another way, or is sent at another instant")

    different = {packet for packet, way in first.items() if way[-1] != second[packet][-1]}
    shifts = [abs(first[packet][-1][1] - second[packet][-1][1]) for packet in different]
    print(f"packets={len(first)} equal={len(first) - len(different)} different={len(different)}", end=" ")
    print(f"greatest_difference_ns={max(shifts, default=0)}")

    passages = ports(first), ports(second)
    broken = [breaches(side) for side in passages]
    tied = [ties(side) for side in passages]
    common = [place for place in tied[0] if set(tied[0][place]) == set(tied[1].get(place, ()))]
    otherwise = [place for place in common if tied[0][place] != tied[1][place]]
    hops = sum(len(way) - 1 for way in first.values())
    print(f"hops={hops} not_fifo={broken[0]},{broken[1]} ties={len(tied[0])},{len(tied[1])}", end=" ")
    print(f"ties_in_both={len(common)} broken_differently={len(otherwise)}")

    if not different:
        print("no packet differs")
    elif broken == [0, 0] and otherwise:
        print("every difference descends from a tie")
    else:
        print("the differences are NOT explained by ties")
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
