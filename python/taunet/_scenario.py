"""Scenarios: a network, its traffic, and what is measured there; and the results of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import _arguments as arguments
from . import _taunet, _toml
from ._arguments import Bar, Changes, PathLike, Progress
from ._errors import ArgumentError, ArgumentTypeError
from ._table import Table, Tables
from ._topology import Topology


class Scenario:
    """A scenario: a topology, its traffic, measured captures, and what is recorded.

    Make one with `Scenario.load`, `Scenario.from_toml` or `Scenario.from_dict`, and run it with `run`.
    """

    __slots__ = ("_native",)

    _native: _taunet.Scenario

    def __init__(self, native: _taunet.Scenario):
        if not isinstance(native, _taunet.Scenario):
            raise ArgumentTypeError("write Scenario.load(path), Scenario.from_toml(text) or Scenario.from_dict(content)")
        self._native = native

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        set: Changes | None = None,
        seed: int | None = None,
        topology: Topology | None = None,
    ) -> Scenario:
        """Reads a scenario file. Paths in it are relative to its folder.

        Parameters
        ----------
        path
            The scenario file.
        set
            Changes to the file, as those of `taunet run --set`: `{"traffic.0.load": 0.5}`. Below `topology` they
            change the topology: `{"topology.link.0.bandwidth": "10 Mbps"}`. Paths in them are relative to the current
            folder.
        seed
            The seed of every random stream, instead of the file's.
        topology
            A network to run on, instead of that of the file.

        Raises
        ------
        ConfigError
            With every mistake in the files, each with its line.
        """
        place = arguments.path("path", path)
        native = _taunet.Scenario.load(place, arguments.changes(set), arguments.seed(seed), _native(topology))
        return cls(native)

    @classmethod
    def from_toml(
        cls,
        text: str,
        *,
        topology: Topology | None = None,
        folder: PathLike | None = None,
        name: str = "scenario",
        set: Changes | None = None,
        seed: int | None = None,
    ) -> Scenario:
        """Reads a scenario from TOML. `name` stands for its file in errors.

        Paths in the text are relative to `folder`, by default the current one. With a `topology`, the text needs no
        key of this name.
        """
        text = arguments.text("text", text)
        changes = arguments.changes(set)
        if topology is not None:
            # The format requires the key; the network is the one that is given.
            changes.insert(0, "topology=given")
        name = arguments.text("name", name)
        place = (arguments.path("folder", folder) if folder is not None else Path()) / "scenario.toml"
        native = _taunet.Scenario.from_text(text, name, place, changes, arguments.seed(seed), _native(topology))
        return cls(native)

    @classmethod
    def from_dict(
        cls,
        content: Mapping[str, object],
        *,
        topology: Topology | None = None,
        folder: PathLike | None = None,
        set: Changes | None = None,
        seed: int | None = None,
    ) -> Scenario:
        """Reads a scenario from a dict with the keys of a scenario file; a `Topology` may be its value of `topology`.

        Examples
        --------
        >>> import taunet
        >>> scenario = taunet.Scenario.from_dict({
        ...     "name": "load-half",
        ...     "topology": taunet.fat_tree(k=4, bandwidth="1 Gbps"),
        ...     "until": "1 ms",
        ...     "traffic": [{"kind": "poisson", "matrix": "uniform", "rate": "200 Mbps", "size": "1000 B"}],
        ... })
        >>> scenario.run().summary["packets"]["dropped"]
        0
        """
        if not isinstance(content, Mapping):
            raise ArgumentTypeError(f"content: {content!r} is not a dict")
        given = content.get("topology")
        if isinstance(given, Topology):
            if topology is not None:
                raise ArgumentError("topology: it is given twice: in the dict, and as an argument")
            topology = given
            content = {key: value for key, value in content.items() if key != "topology"}
        text = _toml.document(content, "scenario")
        return cls.from_toml(text, topology=topology, folder=folder, set=set, seed=seed)

    def changed(self, *, set: Changes | None = None, seed: int | None = None, until: str | None = None) -> Scenario:
        """The same scenario with other values: `scenario.changed(set={"traffic.0.load": 0.9}, seed=2)`."""
        return Scenario(self._native.changed(arguments.changes(set, until), arguments.seed(seed)))

    @property
    def name(self) -> str:
        """The name of the scenario."""
        return self._native.name

    @property
    def seed(self) -> int:
        """The seed of every random stream."""
        return self._native.seed

    @property
    def until_s(self) -> float | None:
        """When the simulation stops, in seconds; `None`: when the last packet has left."""
        until = self._native.until_ps
        return None if until is None else until / 1e12

    @property
    def topology(self) -> Topology:
        """The network, with what `set` changed in it."""
        return Topology(self._native.topology())

    @property
    def inputs(self) -> list[Path]:
        """The files that the scenario reads: itself, its topology, captures."""
        return self._native.inputs

    @property
    def warnings(self) -> list[str]:
        """What is odd about the traffic."""
        return self._native.warnings

    def to_toml(self) -> str:
        """The text of the scenario, without what `set` and `seed` changed."""
        return self._native.toml

    def run(
        self,
        *,
        until: str | None = None,
        seed: int | None = None,
        set: Changes | None = None,
        out: PathLike | None = None,
        force: bool = False,
        format: str = "parquet",
        engine: str | None = None,
        threads: int | None = None,
        lenient: bool = False,
        reorder_window: str | None = None,
        progress: Progress = False,
    ) -> Results:
        """Simulates the scenario, and compares it with its measured captures.

        The same scenario and seed give the same result, to the bit, as `taunet run`. The GIL is free while it runs, and
        Ctrl-C ends it.

        Parameters
        ----------
        until
            When the simulation stops, such as "10 s", instead of the scenario's.
        seed
            The seed, instead of the scenario's.
        set
            Further changes, as of `Scenario.load`.
        out
            A folder to write, as `taunet run --out` does: tables, `summary.json`, `meta.json`, captures of vantages, and
            `report.html`. Default: nothing is written, and the tables are in memory alone.
        force
            Whether an earlier run in `out` is replaced.
        format
            The format of the tables in `out`: "parquet" or "csv".
        engine
            "auto", "stream" or "event"; the results are the same.
        threads
            Threads of the stream engine; the results are the same for any number. Default: one per core.
        lenient
            Whether damaged captures are read up to the damage.
        reorder_window
            How far out of order packets of captures may be. Default: "1 s".
        progress
            `True` for a bar, in a notebook or a terminal; or a function `(fraction, words)`.

        Raises
        ------
        ConfigError
            What `until` or `set` changed is wrong.
        InputError
            A capture cannot be used.
        RunError
            The run failed for another reason.
        """
        scenario = self
        if until is not None or seed is not None or set is not None:
            scenario = self.changed(set=set, seed=seed, until=until)
        native = scenario._native
        place = None if out is None else arguments.path("out", out)
        if place is not None and not force:
            _free(place)
        number = 0 if threads is None else arguments.whole("threads", threads, 1, 1024)
        with Bar(progress, scenario.name) as bar:
            summary, tables = native.run(
                out=place,
                replace=bool(force),
                format=arguments.choice("format", format, "parquet", "csv"),
                engine=None if engine is None else arguments.choice("engine", engine, "auto", "stream", "event"),
                threads=number,
                lenient=bool(lenient),
                reorder_window=arguments.quantity("reorder_window", reorder_window, "1 s"),
                progress=bar.show,
            )
        results = Results(summary, tables, place)
        said = list(results.summary["warnings"])
        if place is None and native.records_captures:
            said.append("[record] vantages: captures are files, and are written with `out` alone")
        arguments.warn(said)
        return results

    def __repr__(self) -> str:
        return f"<taunet.Scenario {self.name}: seed {self.seed}>"

    def __getstate__(self) -> object:
        raise ArgumentTypeError("a Scenario is not pickled: pass its file or its dict, and read it where it runs")


def _native(topology: Topology | None) -> _taunet.Topology | None:
    if topology is None:
        return None
    if isinstance(topology, Topology):
        return topology._native
    raise ArgumentTypeError(f"topology: {topology!r} is not a Topology")


def _free(place: Path) -> None:
    """The library refuses such a folder too, but after it has read all captures."""
    if place.is_file():
        raise ArgumentError(f"out: {place} is a file: name a folder")


class Results:
    """The results of a run: a summary and tables.

    Tables are attributes, such as `results.flows`; `tables` has those that the run wrote, by name.
    """

    __slots__ = ("_summary", "directory", "tables")

    _summary: dict[str, Any]
    tables: Tables
    """The tables by name, as in `docs/results.md`: `results.tables["queues"]`."""
    directory: Path | None
    """The folder that was written, if one was."""

    def __init__(self, summary: str, tables: dict[str, _taunet.Table], directory: Path | None):
        self._summary = json.loads(summary)
        self.tables = Tables(tables)
        self.directory = directory

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of the run, with the keys of `summary.json`: `packets`, `delay_s`, `drops`, `measured`, ..."""
        return self._summary

    @property
    def fingerprint(self) -> str:
        """A hash over all events of the run: the same scenario and seed have the same on every machine."""
        return self._summary["fingerprint"]  # type: ignore[no-any-return]

    @property
    def packets(self) -> Table:
        """One row per packet, in the order in which packets end. Absent with `packets = false`."""
        return self.tables["packets"]

    @property
    def flows(self) -> Table:
        """One row per flow: counts, delays, jitter, and completion times of connections."""
        return self.tables["flows"]

    @property
    def ports(self) -> Table:
        """One row per egress port: counts, utilization, waiting and sojourn times."""
        return self.tables["ports"]

    @property
    def matched(self) -> Table:
        """One row per packet that was matched with a measured capture."""
        return self.tables["matched"]

    @property
    def agreement(self) -> Table:
        """One row per measured capture and flow: both sides' delays."""
        return self.tables["agreement"]

    @property
    def losses(self) -> Table:
        """One row per packet that was lost in the simulation or in a measured capture."""
        return self.tables["losses"]

    @property
    def windows(self) -> Table:
        """One row per measured capture and window of time."""
        return self.tables["windows"]

    @property
    def hops(self) -> Table:
        """One row per packet and device. With `hops = true` in `[record]`."""
        return self.tables["hops"]

    @property
    def queues(self) -> Table:
        """Queue lengths over time. With `queues` in `[record]`."""
        return self.tables["queues"]

    @property
    def transport(self) -> Table:
        """The state of connections over time. With `transport` in `[record]`."""
        return self.tables["transport"]

    @property
    def requests(self) -> Table:
        """One row per answered request. With request-response traffic."""
        return self.tables["requests"]

    @property
    def transmissions(self) -> Table:
        """One row per TCP packet at a vantage. With connections and a measured capture."""
        return self.tables["transmissions"]

    @property
    def goodput(self) -> Table:
        """One row per TCP flow at a vantage and window of time. With connections and a measured capture."""
        return self.tables["goodput"]

    @property
    def is_accepted(self) -> bool:
        """Whether every bound of `[accept]` was kept; true without bounds."""
        return bool(self._summary["accept"]["passed"])

    def __repr__(self) -> str:
        packets = self._summary["packets"]
        return (
            f"<taunet.Results {self._summary['scenario']}: {packets['delivered']:,} packets delivered,"
            f" {packets['dropped']:,} dropped, fingerprint {self.fingerprint}>"
        )

    def _repr_html_(self) -> str:
        from . import _html

        return _html.summary(self._summary)

    def __getstate__(self) -> object:
        raise ArgumentTypeError("Results are not pickled: send results.summary, or tables as those of polars or pyarrow")


def run(
    scenario: Scenario | Mapping[str, object] | PathLike,
    *,
    until: str | None = None,
    seed: int | None = None,
    set: Changes | None = None,
    out: PathLike | None = None,
    force: bool = False,
    engine: str | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> Results:
    """Runs a scenario: a file, a dict with the keys of one, or a `Scenario`.

    Parameters
    ----------
    scenario
        The path of a scenario file, a dict, or a `Scenario`.
    until
        When the simulation stops, such as "10 s", instead of the scenario's.
    seed
        The seed of every random stream, instead of the scenario's.
    set
        Changes, as those of `taunet run --set`: `{"traffic.0.load": 0.5}`.
    out
        A folder to write, with tables, `summary.json` and `report.html`. Default: nothing is written.
    force
        Whether an earlier run in `out` is replaced.
    engine, threads
        "auto", "stream" or "event", and threads of the stream engine; the results are the same.
    progress
        `True` for a bar, in a notebook or a terminal.

    Returns
    -------
    Results
        `.summary` (a dict), `.fingerprint`, and tables such as `.packets`, `.flows`, `.ports`.

    Examples
    --------
    >>> import taunet
    >>> results = taunet.run("scenarios/kernel-tbf-70.toml", progress=True)  # doctest: +SKIP
    >>> results.flows.to_polars()                                            # doctest: +SKIP
    """
    if isinstance(scenario, Scenario):
        found = scenario
    elif isinstance(scenario, Mapping):
        found = Scenario.from_dict(scenario)
    else:
        found = Scenario.load(arguments.path("scenario", scenario))
    return found.run(
        until=until, seed=seed, set=set, out=out, force=force, engine=engine, threads=threads, progress=progress
    )
