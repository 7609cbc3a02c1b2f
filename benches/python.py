"""Times of the Python package: import, a table in polars, a capture beside `taunet inspect` and a loop over dpkt.

    TAUNET=target/release/taunet python benches/python.py

Needs the package, polars and dpkt (python/requirements-test.txt). Every figure is of one process; those that are
compared alternate.
"""

from __future__ import annotations

import lzma
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dpkt
import polars
import taunet

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = os.environ["TAUNET"]
ROUNDS = 5


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def imports() -> None:
    code = "import time; t = time.perf_counter(); import taunet; print(time.perf_counter() - t)"
    call = [sys.executable, "-c", code]
    times = [float(subprocess.run(call, capture_output=True, check=True).stdout) for _ in range(9)]
    print(f"import taunet: {1e3 * statistics.median(times):.0f} ms, at most {1e3 * max(times):.0f} ms")


def frames() -> None:
    """The table of a million packets after the run, in a process that has used polars before."""
    polars.DataFrame({"a": ["x", "y"], "b": [1, 2]}).group_by("a").sum()
    for seed in range(ROUNDS):
        scenario = taunet.Scenario.from_dict(
            {
                "name": "million",
                "seed": seed,
                "topology": taunet.fat_tree(k=4, bandwidth="1 Gbps"),
                "until": "2.5 s",
                "traffic": [{"kind": "poisson", "matrix": "uniform", "rate": "220 Mbps", "size": "1000 B"}],
            }
        )
        results = scenario.run()
        first = timed(results.packets.to_polars)
        again = timed(results.packets.to_polars)
        print(f"{len(results.packets):,} packets in polars: {1e3 * first:.1f} ms, again {1e3 * again:.1f} ms")


def by_dpkt(path: Path) -> int:
    """The columns of the notebook that the project began as, packet by packet."""
    columns: dict[str, list[Any]] = {}
    names = "timestamp i_port e_port eth_type src dst id pkt_len ttl df mf offset protocol".split()
    for name in names:
        columns[name] = []

    def mac(address: bytes) -> str:
        return ":".join(f"{byte:02x}" for byte in address)

    with open(path, "rb") as file:
        for timestamp, frame in dpkt.pcap.Reader(file):
            ethernet = dpkt.ethernet.Ethernet(frame)
            if not isinstance(ethernet.data, dpkt.ip.IP):
                continue
            ip = ethernet.data
            row = (
                timestamp, mac(ethernet.src), mac(ethernet.dst), ethernet.type, socket.inet_ntop(socket.AF_INET, ip.src),
                socket.inet_ntop(socket.AF_INET, ip.dst), ip.id, ip.len, ip.ttl, ip.df, ip.mf, ip.offset, ip.p,
            )
            for name, value in zip(names, row, strict=True):
                columns[name].append(value)
    return len(columns["timestamp"])


def captures() -> None:
    with tempfile.TemporaryDirectory() as folder:
        long, table = Path(folder, "long.pcap"), Path(folder, "packets.parquet")
        recorded = lzma.open(ROOT / "scenarios/captures/kernel-tbf-70/in1.pcap.xz").read()
        long.write_bytes(recorded[:24] + recorded[24:] * 38)
        inspect = [PROGRAM, "inspect", str(long), "--packets", str(table), "--force", "--quiet"]
        theirs, ours = [], []
        for _ in range(ROUNDS):
            theirs.append(timed(lambda: subprocess.run(inspect, check=True)))
            ours.append(timed(lambda: taunet.read_pcap(long)))
        ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
        packets = len(taunet.read_pcap(long))
        print(
            f"read_pcap of {packets:,} packets: {statistics.median(ours):.3f} s; inspect --packets "
            f"{statistics.median(theirs):.3f} s; ratios {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
        )
        loop = timed(lambda: by_dpkt(long))
        print(f"dpkt, all of them: {loop:.1f} s, {loop / statistics.median(ours):.0f} times read_pcap")


if __name__ == "__main__":
    imports()
    frames()
    captures()
