#!/usr/bin/env python3
"""Sends UDP packets with independent exponential gaps: send-poisson.py ADDRESS PORT BITS_PER_SECOND SECONDS [SEED]

Frames of 64, 576 and 1514 bytes (4 : 3 : 3), in 8 flows by source port. The first 8 payload bytes are the packet's number in its
flow and the flow's number, so that every packet can be recognized. Needs nothing but Python 3; busy while it sends.
"""
import random
import socket
import struct
import sys
import time

HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP
FRAMES = [64] * 4 + [576] * 3 + [1514] * 3
FLOWS = 8


def main():
    if not 5 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    address, port = sys.argv[1], int(sys.argv[2])
    rate, seconds = float(sys.argv[3]), float(sys.argv[4])
    draw = random.Random(int(sys.argv[5]) if len(sys.argv) == 6 else 1)
    mean_gap = sum(FRAMES) / len(FRAMES) * 8 / rate
    flows = []
    for flow in range(FLOWS):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind(("", port + 1000 + flow))
        sender.connect((address, port))
        flows.append(sender)
    sent = [0] * FLOWS
    start, due = time.monotonic() + 0.2, 0.0
    while True:
        due += draw.expovariate(1 / mean_gap)
        if due > seconds:
            break
        flow, frame = draw.randrange(FLOWS), draw.choice(FRAMES)
        payload = struct.pack("!II", sent[flow], flow).ljust(frame - HEADERS, b"\0")
        while time.monotonic() < start + due:
            pass
        flows[flow].send(payload)
        sent[flow] += 1
    print(f"{sum(sent)} packets sent", file=sys.stderr)


main()
