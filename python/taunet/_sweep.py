"""Sweeps: many runs of one scenario."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from . import _arguments as arguments
from . import _taunet, _toml
from ._arguments import Bar, Changes, PathLike, Progress
from ._errors import ArgumentError, ArgumentTypeError, RunError, SweepError
from ._table import Table, Tables


class Executor(Protocol):
    """What runs functions elsewhere: an executor of `concurrent.futures`, a client of Dask, an `MPIPoolExecutor`."""

    def submit(self, fn: Any, /, *args: Any) -> Any:
        """Runs `fn(*args)` and gives its future."""


class SweepResults:
    """The results of a sweep: a row per job, means over replications, paired differences."""

    __slots__ = ("directory", "done", "failed", "jobs", "name", "tables")

    name: str
    """The name of the sweep."""
    directory: Path
    """The folder of the sweep: its jobs, tables and `report.html`."""
    jobs: int
    """The number of jobs."""
    done: int
    """The number of jobs that are done."""
    failed: tuple[tuple[str, int, int, str], ...]
    """The jobs that failed: values in words, replication, seed, reason."""
    tables: Tables
    """The tables by name: `results`, `means` and `differences`."""

    def __init__(
        self, name: str, directory: Path, jobs: int, done: int, failed: Iterable[tuple[str, int, int, str]],
        tables: dict[str, _taunet.Table],
    ):
        self.name, self.directory, self.jobs, self.done = name, directory, jobs, done
        self.failed = tuple(failed)
        self.tables = Tables(tables)

    @property
    def results(self) -> Table:
        """One row per job: its values, seed, fingerprint and metrics."""
        return self.tables["results"]

    @property
    def means(self) -> Table:
        """One row per combination of values and metric: the mean over replications and its 95 % interval."""
        return self.tables["means"]

    @property
    def differences(self) -> Table:
        """One row per parameter, combination and metric: the paired difference from the parameter's first value."""
        return self.tables["differences"]

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"<taunet.SweepResults {self.name}: {self.done:,} of {self.jobs:,} jobs done{failed}>"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>".replace("<taunet.", "").replace("></p>", "</p>") + self.means._repr_html_()


def run_job(file: str, set: list[str], directory: str, point: int, replication: int) -> tuple[str, int, int, str] | None:
    """Runs one job of a sweep, if it is not done: what an executor is given. Gives why it failed, if it did.

    Arguments and result are plain values, so that any executor can send them. The folder of the sweep and the files of
    the scenario must have the same paths where it runs.
    """
    return _taunet.Sweep.load(Path(file), set).run_job(Path(directory), point, replication)


def sweep(
    file: PathLike | Mapping[str, object],
    *,
    out: PathLike | None = None,
    set: Changes | None = None,
    executor: Executor | None = None,
    jobs: int | None = None,
    format: str = "parquet",
    raise_failed: bool = True,
    progress: Progress = False,
) -> SweepResults:
    """Runs a scenario with many values of its keys, and several seeds for each.

    A job is one run. Jobs that are done are kept in `out` and never run again, whether they ran here or in
    `taunet sweep`: both write the same folder.

    Parameters
    ----------
    file
        The sweep file, or a dict with its keys: `{"scenario": "red.toml", "replications": 5, "vary":
        {"traffic.0.load": [0.5, 0.9]}}`. Paths in a dict are relative to the current folder.
    out
        The folder of the sweep. Default: `sweeps/` and its name.
    set
        Changes to the scenario in all jobs.
    executor
        Where jobs run: anything with a `submit` like that of `concurrent.futures`, such as a `ProcessPoolExecutor`, a
        Dask `Client` or an `MPIPoolExecutor`. Its workers need the same paths. Default: threads of this process.
    jobs
        Without an executor: jobs at a time. Default: one per core.
    format
        The format of the joined tables in `out`: "parquet" or "csv".
    raise_failed
        Whether jobs that failed raise a `SweepError`, after all others have run; otherwise `.failed` has them.
    progress
        `True` for a bar.
    """
    changes = arguments.changes(set)
    format = arguments.choice("format", format, "parquet", "csv")
    threads = 0 if jobs is None else arguments.whole("jobs", jobs, 1, 1024)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ArgumentTypeError(f"executor: {executor!r} has no method `submit`, as those of concurrent.futures have")
    place, directory = _place(file, out)
    native = _taunet.Sweep.load(place, changes)
    if directory is None:
        directory = Path("sweeps") / native.name
    with Bar(progress, native.name) as bar:
        if executor is None:
            failed = native.execute(directory, threads, bar.show)
        else:
            failed = _elsewhere(native, place, changes, directory, executor, bar)
    done, of, tables, warnings = native.results(directory, format, len(failed))
    found = SweepResults(native.name, directory, of, done, failed, tables)
    arguments.warn(warnings)
    if failed and raise_failed:
        listed = "".join(f"\n  {values}, replication {number}: {why}" for values, number, _, why in failed[:20])
        more = f"\n  and {len(failed) - 20} more" if len(failed) > 20 else ""
        count = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
        raise SweepError(f"{count} failed{listed}{more}", failed)
    return found


def _place(file: PathLike | Mapping[str, object], out: PathLike | None) -> tuple[Path, Path | None]:
    """The sweep file, which a dict is written to, and the folder of the sweep."""
    directory = None if out is None else arguments.path("out", out)
    if not isinstance(file, Mapping):
        return arguments.path("file", file), directory
    scenario = file.get("scenario")
    if not isinstance(scenario, (str, os.PathLike)):
        raise ArgumentTypeError(f"scenario: {scenario!r} is not a path: a sweep reads its scenario from a file")
    name = file.get("name", "sweep")
    if not isinstance(name, str):
        raise ArgumentTypeError(f"name: {name!r} is not a text")
    if directory is None:
        directory = Path("sweeps") / name
    text = _toml.document({"name": name, **file, "scenario": os.path.abspath(scenario)}, "sweep")
    # A folder that holds something else is left alone.
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "jobs").is_dir():
        raise ArgumentError(f"{directory} holds something else than a sweep: choose another folder with `out`")
    try:
        (directory / "jobs").mkdir(parents=True, exist_ok=True)
        (directory / "sweep.toml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {directory}: {error.strerror}") from None
    return directory / "sweep.toml", directory


def _elsewhere(
    native: _taunet.Sweep, file: Path, changes: list[str], directory: Path, executor: Executor, bar: Bar
) -> list[tuple[str, int, int, str]]:
    """Runs the jobs that are not done on an executor; gives those that failed."""
    failed: list[tuple[str, int, int, str]] = []
    # With [stop], the jobs of a replication depend on the results of those before.
    rounds: Iterable[int | None] = range(native.replications) if native.stops else [None]
    for replication in rounds:
        missing = native.missing(directory, replication)
        left = [(os.path.abspath(file), changes, os.path.abspath(directory), *job) for job in missing]
        futures: list[Future[Any]] = [executor.submit(run_job, *arguments_) for arguments_ in left]
        try:
            for number, future in enumerate(futures):
                if bar.show is not None:
                    bar.show(number / len(futures), f"{number} of {len(futures)} jobs")
                found = future.result()
                if found is not None:
                    failed.append(found)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        lost = len(native.missing(directory, replication)) - len(failed)
        if replication is None and lost > 0:
            raise RunError(
                f"{lost} jobs ran, and their results are not in {directory}: the workers need the same folder"
            )
    return failed
