"""Captures: packets, comparisons, calibration: equal to those of the command line."""

from __future__ import annotations

import time
from pathlib import Path

import polars
import pytest
from conftest import CAPTURES, ROOT, CommandLine, content

import taunet

# The columns that a loop over dpkt's packets has in the notebook that this project began as.
THIRTEEN = ["timestamp", "i_port", "e_port", "eth_type", "src", "dst", "id", "pkt_len", "ttl", "df", "mf", "offset", "protocol"]


def test_packets_are_those_of_inspect(command: CommandLine, captures: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "packets.parquet"
    assert command("inspect", captures[0], "--packets", table, "--quiet").returncode == 0
    there = polars.read_parquet(table)
    for path in (captures[0], str(CAPTURES / "in1.pcap.xz")):
        found = taunet.read_pcap(path)
        assert found.columns[:13] == THIRTEEN
        frame = found.to_polars()
        assert frame.columns == there.columns
        texts = ["i_port", "e_port", "src", "dst"]
        assert frame.with_columns(polars.col(texts).cast(polars.String)).equals(
            there.with_columns(polars.col(texts).cast(polars.String))
        )
    assert found.units["pkt_len"] == "B" and found.units["timestamp"] == "ns"


def test_some_packets(captures: tuple[Path, Path]) -> None:
    assert len(taunet.read_pcap(captures[0], max_packets=100)) == 100
    assert len(taunet.read_pcap(captures[0], max_packets=0)) == 0
    two = ROOT / "tests" / "captures" / "two_interfaces.pcapng"
    whole = taunet.read_pcap(two)
    one = taunet.read_pcap(two, interface=1)
    assert 0 < len(one) < len(whole)
    assert set(one.to_list("interface")) == {1}


def test_reading_is_as_fast_as_inspect(command: CommandLine, captures: tuple[Path, Path], tmp_path: Path) -> None:
    """At most 1.3 times its time, on a capture long enough for both to be measured."""
    content_ = captures[0].read_bytes()
    header, packets = content_[:24], content_[24:]
    long = tmp_path / "long.pcap"
    long.write_bytes(header + packets * 12)
    theirs, ours = [], []
    for _ in range(3):
        began = time.perf_counter()
        command("inspect", long, "--packets", tmp_path / "packets.parquet", "--force", "--quiet")
        theirs.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert len(taunet.read_pcap(long)) == 12 * 26_740
        ours.append(time.perf_counter() - began)
    assert min(ours) < 1.3 * min(theirs)


def test_two_captures_are_compared_as_on_the_command_line(command: CommandLine, captures: tuple[Path, Path], tmp_path: Path) -> None:
    printed = command.json("compare", *captures, "--flows", tmp_path / "flows.parquet")
    found = taunet.compare(*captures)
    assert found.kind == "captures"
    assert found.summary == printed
    there = polars.read_parquet(tmp_path / "flows.parquet")
    flows = found.tables.flows.to_polars()
    assert flows.columns == there.columns and flows["delay_p99_ps"].equals(there["delay_p99_ps"])
    delays = found.matched.to_numpy("delay_ps")
    assert len(delays) == printed["matched"]
    assert delays.mean() / 1e12 == pytest.approx(printed["delay_s"]["mean"])
    assert "matched" in repr(found) and "delay, p99" in found._repr_html_()


def test_bounds_of_a_comparison(captures: tuple[Path, Path]) -> None:
    assert taunet.compare(*captures, accept={"delay_p99": "10 ms"}).is_accepted
    assert not taunet.compare(*captures, accept={"delay_p99": "1 us"}).is_accepted


def test_runs_are_compared_as_on_the_command_line(command: CommandLine, tmp_path: Path) -> None:
    one = taunet.run(content(), out=tmp_path / "one")
    two = taunet.run(content(topology=taunet.star(3, bandwidth="200 Mbps")), out=tmp_path / "two")
    printed = command.json("compare", tmp_path / "one", tmp_path / "two")
    for sides in ((one, two), (tmp_path / "one", tmp_path / "two"), (one, str(tmp_path / "two"))):
        found = taunet.compare(*sides)
        assert found.kind == "runs" and found.summary == printed
    assert found.matched.columns == ["fid", "injected_ps", "first_delay_ps", "second_delay_ps"]
    assert "change" in found._repr_html_()


def test_a_run_and_a_capture_are_compared_as_on_the_command_line(command: CommandLine, tmp_path: Path) -> None:
    taunet.run(ROOT / "scenarios" / "kernel-tbf-70.toml", out=tmp_path / "run")
    printed = command.json("compare", tmp_path / "run", CAPTURES / "out.pcap.xz", "--at", "r1:1 egress")
    found = taunet.compare(tmp_path / "run", CAPTURES / "out.pcap.xz", at="r1:1 egress")
    assert found.summary == printed
    assert found.kind == "run and capture" and "error" in found._repr_html_()


def test_calibration_is_that_of_the_command_line(command: CommandLine, captures: tuple[Path, Path], tmp_path: Path) -> None:
    printed = command.json("calibrate", "--ingress", captures[0], "--egress", captures[1], "-o", tmp_path / "theirs")
    stages: list[str] = []
    found = taunet.calibrate(captures[0], captures[1], progress=lambda _, words: stages.append(words))
    assert found.summary == printed
    assert (found.discipline, found.bottleneck) == ("fifo", "token bucket")
    assert found.directory is None
    with pytest.raises(taunet.ArgumentError):
        found.topology()
    assert found.write(tmp_path / "ours") == tmp_path / "ours"
    assert {file.name for file in (tmp_path / "ours").iterdir()} == {file.name for file in (tmp_path / "theirs").iterdir()}
    assert found.topology().name == "ours"
    results = taunet.run(tmp_path / "ours" / "scenario.toml")
    assert results.summary["measured"][0]["w1_normalized"] < 0.02
    html = found._repr_html_()
    assert "token bucket" in repr(found) and "Mbps" in html and f"{found.summary['held_out']['w1_normalized']:.6f}" in html
    several = taunet.calibrate([str(captures[0])], captures[1], out=tmp_path / "again")
    assert several.directory == tmp_path / "again"
