"""Sweeps: the table of `taunet sweep`, here and on executors."""

from __future__ import annotations

from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars
import pytest
from conftest import ROOT, CommandLine

import taunet

SCENARIO = ROOT / "scenarios" / "traffic-poisson.toml"
CONTENT: dict[str, object] = {
    "name": "loads",
    "scenario": SCENARIO,
    "replications": 2,
    "vary": {"traffic.0.rate.load": [0.3, 0.6], "traffic.0.size": ["500 B", "1000 B"]},
}
FILE = f"""
name = "loads"
scenario = "{SCENARIO}"
replications = 2
[vary]
"traffic.0.rate.load" = [0.3, 0.6]
"traffic.0.size" = ["500 B", "1000 B"]
"""


def without_times(table: taunet.Table | Path) -> polars.DataFrame:
    frame = table.to_polars() if isinstance(table, taunet.Table) else polars.read_parquet(table)
    return frame.drop([column for column in frame.columns if column == "wall_s"])


def executors() -> list[Executor | None]:
    return [None, ThreadPoolExecutor(2), ProcessPoolExecutor(2, mp_context=get_context("spawn"))]


def test_the_table_is_that_of_the_command_line(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "loads.toml").write_text(FILE)
    assert command("sweep", tmp_path / "loads.toml", "--out", tmp_path / "theirs").returncode == 0
    there = without_times(tmp_path / "theirs" / "results.parquet")
    for number, executor in enumerate(executors()):
        for name, file in (("file", tmp_path / "loads.toml"), ("dict", CONTENT)):
            found = taunet.sweep(file, out=tmp_path / f"{name}-{number}", executor=executor)
            assert (found.done, found.jobs, found.failed) == (8, 8, ())
            assert without_times(found.results).equals(there)
            assert without_times(found.directory / "results.parquet").equals(there)
            assert (found.directory / "report.html").is_file()
        if executor is not None:
            executor.shutdown()
    assert len(found.means) > 0 and len(found.differences) > 0
    assert repr(found) == "<taunet.SweepResults loads: 8 of 8 jobs done>"
    assert "<table>" in found._repr_html_()


def test_jobs_are_shared_with_the_command_line(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "loads.toml").write_text(FILE)
    command("sweep", tmp_path / "loads.toml", "--out", tmp_path / "sweep")
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "sweep" / "jobs").iterdir()}

    class Nowhere:
        def submit(self, fn: object, /, *args: object) -> object:
            raise AssertionError("every job is done")

    found = taunet.sweep(CONTENT, out=tmp_path / "sweep", executor=Nowhere())
    assert found.done == 8
    assert before == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "sweep" / "jobs").iterdir()}


def test_replications_end_early_on_an_executor_too(tmp_path: Path) -> None:
    content = {**CONTENT, "replications": 9, "stop": {"metric": "delay_s.mean", "relative_half_width": 0.05, "at_least": 2}}
    here = taunet.sweep(content, out=tmp_path / "here")
    with ThreadPoolExecutor(2) as executor:
        there = taunet.sweep(content, out=tmp_path / "there", executor=executor)
    assert 8 <= here.jobs < 36
    assert without_times(here.results).equals(without_times(there.results))


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(1)])
def test_a_job_that_fails_is_told_with_its_values(executor: Executor | None, tmp_path: Path) -> None:
    content = {"scenario": SCENARIO, "vary": {"traffic.0.to": ["h1", "nobody"]}}
    with pytest.raises(taunet.SweepError, match="1 job failed\n  traffic.0.to = nobody") as caught:
        taunet.sweep(content, out=tmp_path / "sweep", executor=executor)
    assert len(caught.value.failed) == 1 and "nobody" in caught.value.failed[0][3]
    found = taunet.sweep(content, out=tmp_path / "sweep", executor=executor, raise_failed=False)
    assert (found.done, len(found.failed)) == (1, 1)


def test_a_dask_cluster_gives_the_same_table(command: CommandLine, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    (tmp_path / "loads.toml").write_text(FILE)
    command("sweep", tmp_path / "loads.toml", "--out", tmp_path / "theirs")
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
    with cluster, Client(cluster) as client:  # type: ignore[no-untyped-call]
        found = taunet.sweep(tmp_path / "loads.toml", out=tmp_path / "ours", executor=client)
    assert without_times(found.results).equals(without_times(tmp_path / "theirs" / "results.parquet"))
