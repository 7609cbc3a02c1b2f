"""Scenarios and runs: equal to those of the command line, on networks that are built in code, and interruptible."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import polars
import pytest
from conftest import ROOT, CommandLine, content
from jupyter_client.manager import start_new_kernel

import taunet

SCENARIOS = ["kernel-tbf-70", "traffic-poisson", "kernel-drops", "tcp-flows", "traffic-matrices"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_is_that_of_the_command_line(name: str, command: CommandLine, tmp_path: Path) -> None:
    path = ROOT / "scenarios" / f"{name}.toml"
    printed = command.json("run", path, "--out", tmp_path / "run")
    results = taunet.run(path)
    assert results.fingerprint == printed["fingerprint"]
    of_run = {**results.summary, "wall_s": 0}
    assert of_run == {**printed, "wall_s": 0}
    written = {file.stem for file in (tmp_path / "run").glob("*.parquet")}
    assert written == set(results.tables)
    for table in sorted(written):
        found = results.tables[table].to_polars()
        there = polars.read_parquet(tmp_path / "run" / f"{table}.parquet")
        assert found.columns == there.columns
        texts = [column for column in there.columns if there.schema[column] in (polars.String, polars.Categorical)]
        found, there = (frame.with_columns(polars.col(texts).cast(polars.String)) for frame in (found, there))
        assert found.equals(there), table


def test_changes_and_seeds_are_those_of_the_command_line(command: CommandLine, tmp_path: Path) -> None:
    path = ROOT / "scenarios" / "traffic-poisson.toml"
    set_ = ["traffic.0.rate.load=0.5", "topology.defaults.link.bandwidth=50 Mbps"]
    flags = [flag for text in set_ for flag in ("--set", text)]
    printed = command.json("run", path, *flags, "--seed", 7, "--set", "until=20 ms", "--out", tmp_path / "run")
    as_dict = {"traffic.0.rate.load": 0.5, "topology.defaults.link.bandwidth": "50 Mbps"}
    by_run = taunet.run(path, set=as_dict, seed=7, until="20 ms")
    by_load = taunet.Scenario.load(path, set=set_, seed=7).run(until="20 ms")
    by_steps = taunet.Scenario.load(path).changed(set=as_dict).changed(seed=7).run(until="20 ms")
    assert {printed["fingerprint"]} == {it.fingerprint for it in (by_run, by_load, by_steps)}
    assert by_run.summary["seed"] == 7


def test_a_run_directory_is_that_of_the_command_line(command: CommandLine, tmp_path: Path) -> None:
    path = ROOT / "scenarios" / "traffic-poisson.toml"
    assert command("run", path, "--out", tmp_path / "theirs").returncode == 0
    results = taunet.run(path, out=tmp_path / "ours")
    assert results.directory == tmp_path / "ours"
    names = {file.name for file in (tmp_path / "theirs").iterdir()}
    assert {file.name for file in (tmp_path / "ours").iterdir()} == names
    same = [name for name in names if not name.endswith(("html", "summary.json"))]
    for name in same:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name
    with pytest.raises(taunet.InputError, match="force"):
        taunet.run(path, out=tmp_path / "ours")
    taunet.run(path, out=str(tmp_path / "ours"), force=True)


def test_a_network_in_code_is_that_of_a_file(tmp_path: Path) -> None:
    network = taunet.star(3, bandwidth="100 Mbps", delay="1 us")
    network.save(tmp_path / "star.toml")
    in_code = taunet.Scenario.from_dict(content())
    of_files = taunet.Scenario.from_dict(content(topology="star.toml"), folder=tmp_path)
    given = taunet.Scenario.from_dict(content(topology=tmp_path / "star.toml"), topology=network)
    other = taunet.Scenario.from_dict(content(topology=taunet.star(3, bandwidth="50 Mbps")))
    found = {scenario.run().fingerprint for scenario in (in_code, of_files, given)}
    assert len(found) == 1
    assert other.run().fingerprint not in found
    changed = in_code.changed(set={"topology.defaults.access_link.bandwidth": "50 Mbps"})
    assert changed.topology.links[0]["bandwidth_bps"] == 50_000_000
    assert changed.run().fingerprint not in found


@pytest.mark.parametrize("engine", ["auto", "stream", "event"])
@pytest.mark.parametrize("threads", [1, 2])
def test_engines_and_threads_agree(engine: str, threads: int) -> None:
    scenario = taunet.Scenario.from_dict(content())
    assert scenario.run(engine=engine, threads=threads).fingerprint == scenario.run().fingerprint


def test_results_and_their_attributes() -> None:
    results = taunet.run(content(record={"hops": True, "queues": {"every": "1 ms"}}))
    assert set(results.tables) >= {"packets", "flows", "ports", "hops", "queues", "matched"}
    assert len(results.packets) == results.summary["packets"]["injected"] == 500
    assert results.tables.hops.name == "hops" and len(results.hops) > len(results.queues) > 0
    known = {name for name, it in vars(taunet.Results).items() if isinstance(it, property)}
    assert known >= set(results.tables)
    assert "hops" in dir(results.tables) and len(results.tables) == len(list(results.tables))
    assert results.is_accepted
    assert results.fingerprint in repr(results)
    html = results._repr_html_()
    assert results.fingerprint in html and "<table>" in html


def test_a_scenario_shows_what_it_is() -> None:
    scenario = taunet.Scenario.from_dict(content(until="20 ms", seed=3))
    assert (scenario.name, scenario.seed, scenario.until_s) == ("small", 3, 0.02)
    assert repr(scenario) == "<taunet.Scenario small: seed 3>"
    assert scenario.topology.name == "star"
    assert 'kind = "poisson"' in scenario.to_toml()
    assert taunet.Scenario.from_toml(scenario.to_toml(), topology=scenario.topology).run().fingerprint == scenario.run().fingerprint
    with pytest.raises(taunet.ArgumentTypeError):
        pickle.dumps(scenario)


LONG = """
    import taunet, sys
    scenario = taunet.Scenario.from_dict({
        "name": "long",
        "topology": taunet.fat_tree(4, bandwidth="1 Gbps"),
        "until": "1000 s",
        "record": {"packets": False},
        "traffic": [{"kind": "poisson", "matrix": "uniform", "rate": "500 Mbps", "size": "1000 B"}],
    })
    print("begins", flush=True)
"""


# The last does not ask whether to go on, and takes seconds.
@pytest.mark.parametrize("call", ["scenario.run(engine='stream')", "scenario.run(engine='event', progress=True)", "taunet.fat_tree(k=128)"])
def test_control_c_is_answered_within_a_second(call: str) -> None:
    code = textwrap.dedent(LONG) + textwrap.dedent(f"""
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.exit(7)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    time.sleep(1.0)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    took = time.monotonic() - began
    assert (process.returncode, out) == (7, "interrupted\n"), errors
    assert took < 1.0


def test_interrupting_a_notebook_ends_a_run_within_a_second() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:

        def run(code: str, interrupts: bool = False) -> tuple[str, float]:
            """The status of a cell, and how long it took to end after the interruption."""
            asked = client.execute(textwrap.dedent(code))
            while client.get_iopub_msg(timeout=60)["header"]["msg_type"] != "execute_input":
                pass
            if interrupts:
                while client.get_iopub_msg(timeout=60)["content"].get("text") != "begins\n":
                    pass
                time.sleep(1.0)
                manager.interrupt_kernel()
            began = time.monotonic()
            while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
                pass
            return reply["content"].get("ename", reply["content"]["status"]), time.monotonic() - began

        status, took = run(LONG + "    scenario.run(progress=True)", interrupts=True)
        assert status == "KeyboardInterrupt"
        assert took < 1.0
        assert run("assert taunet.star(3).name == 'star'")[0] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_gil_is_free_and_progress_is_shown() -> None:
    scenario = taunet.Scenario.from_dict({
        "name": "long",
        "topology": taunet.fat_tree(4, bandwidth="1 Gbps"),
        "until": "1000 s",
        "record": {"packets": False},
        "traffic": [{"kind": "poisson", "matrix": "uniform", "rate": "500 Mbps", "size": "1000 B"}],
    })
    counted = 0
    ends = threading.Event()

    def count() -> None:
        nonlocal counted
        while not ends.is_set():
            counted += 1
            time.sleep(0.001)

    shown: list[tuple[float | None, str]] = []

    def enough(fraction: float | None, words: str) -> None:
        shown.append((fraction, words))
        if len(shown) == 8:
            raise StopIteration

    thread = threading.Thread(target=count)
    thread.start()
    began = time.monotonic()
    with pytest.raises(StopIteration):
        scenario.run(progress=enough)
    took = time.monotonic() - began
    ends.set()
    thread.join()
    # At least ten times a second, and the other thread went on meanwhile.
    assert took < 1.0
    assert counted > 50
    assert all("s simulated" in words for _, words in shown)
    assert shown[-1][0] is not None and 0 < shown[-1][0] < 1


def test_progress_is_a_line_without_tqdm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    taunet.run(content(
        topology=taunet.fat_tree(4, bandwidth="1 Gbps"), until="300 ms",
        traffic=[{"kind": "poisson", "matrix": "uniform", "rate": "300 Mbps", "size": "1000 B"}],
    ), progress=True)
    assert "small:" in capsys.readouterr().err


def test_warnings_are_shown_at_the_caller() -> None:
    scenario = taunet.Scenario.from_dict(content(record={"vantages": ["s0:0 egress"]}))
    with pytest.warns(taunet.TaunetWarning, match="written with `out` alone") as caught:
        scenario.run()
    assert caught[0].filename == __file__
