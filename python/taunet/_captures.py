"""Captures: their packets, what two of them say about a path, and the device between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import _arguments as arguments
from . import _taunet
from ._arguments import Bar, PathLike, Progress
from ._errors import ArgumentError, ArgumentTypeError
from ._scenario import Results
from ._table import Table, Tables
from ._topology import Topology


def read_pcap(
    path: PathLike,
    *,
    max_packets: int | None = None,
    interface: str | int | None = None,
    direction: str | None = None,
    lenient: bool = False,
    reorder_window: str | None = None,
    progress: Progress = False,
) -> Table:
    """Reads the packets of a capture: pcap or pcapng, plain or compressed with gzip, zstd or xz.

    Parameters
    ----------
    path
        The capture.
    max_packets
        The most packets that are read. Default: all.
    interface
        Only the packets of this interface: its name or its number.
    direction
        Only the packets of this direction: "in" or "out".
    lenient
        Whether a damaged capture is read up to the damage.
    reorder_window
        How far out of order packets may be before a warning. Default: "1 s".
    progress
        `True` for a bar.

    Returns
    -------
    Table
        One row per packet, in the order of the file. A field that a frame does not have is null. First `timestamp` (in
        UTC, nanoseconds), `i_port` and `e_port` (source and destination MAC address), `eth_type`, `src`, `dst` (IP
        addresses), `id`, `pkt_len` (bytes of the IP packet), `ttl`, `df`, `mf`, `offset` (in units of 8 B), `protocol`;
        then `source_port`, `destination_port`, `fid` (the flow, from 0), `original_length_bytes`, and others: those of
        `taunet inspect --packets`.

    Raises
    ------
    InputError
        The file cannot be read, or is damaged.

    Examples
    --------
    >>> import taunet
    >>> packets = taunet.read_pcap("in.pcap").to_polars()  # doctest: +SKIP
    """
    most = None if max_packets is None else arguments.whole("max_packets", max_packets)
    place = arguments.path("path", path)
    with Bar(progress, place.name) as bar:
        table, warnings = _taunet.read_pcap(
            place,
            max_packets=most,
            chosen=arguments.chosen(interface, direction),
            lenient=bool(lenient),
            reorder_window=arguments.quantity("reorder_window", reorder_window, "1 s"),
            progress=bar.show,
        )
    arguments.warn(warnings)
    return Table(table, "packets")


class Comparison:
    """How two captures, two runs, or a run and a capture differ.

    `summary` has the figures: the keys of `taunet compare --json`. `tables` has `matched`, a row per packet that both
    sides have, except for a run and a capture; for two captures also `flows`, a row per flow.
    """

    __slots__ = ("_summary", "kind", "tables")

    _summary: dict[str, Any]
    kind: str
    """`captures`, `runs` or `run and capture`."""
    tables: Tables
    """The tables by name."""

    def __init__(self, kind: str, summary: str, tables: dict[str, _taunet.Table]):
        self.kind = kind
        self._summary = json.loads(summary)
        self.tables = Tables(tables)

    @property
    def summary(self) -> dict[str, Any]:
        """The figures: delays in seconds, counts, metrics."""
        return self._summary

    @property
    def matched(self) -> Table:
        """One row per packet that both sides have, with its delays in picoseconds."""
        return self.tables["matched"]

    @property
    def is_accepted(self) -> bool:
        """Whether every bound of `accept` was kept; true without bounds."""
        return bool(self._summary["accept"]["passed"])

    def __repr__(self) -> str:
        found = self._summary.get("measured", self._summary)
        return f"<taunet.Comparison of {self.kind}: {found['matched']:,} packets matched>"

    def _repr_html_(self) -> str:
        from . import _html

        return _html.comparison(self)


Side = Results | PathLike
"""A run in memory, a run directory, or a capture."""


def compare(
    reference: Side,
    other: Side,
    *,
    at: str | None = None,
    hop: bool = False,
    tolerance: str | None = None,
    accept: Mapping[str, object] | None = None,
    interfaces: tuple[str | int | None, str | int | None] = (None, None),
    directions: tuple[str | None, str | None] = (None, None),
    lenient: bool = False,
    reorder_window: str | None = None,
    nat: bool = False,
    max_delay: str | None = None,
    min_delay: str | None = None,
    clock: str = "same",
    progress: Progress = False,
) -> Comparison:
    """Compares packet by packet: two captures of one path, two runs of the same traffic, or a run and a capture.

    Parameters
    ----------
    reference
        The capture that packets pass first, or a run: the baseline of relative changes.
    other
        The capture that packets pass second, or a run. A run is what `run` returned, or a run directory.
    at
        Of a run directory and a capture: the port and direction where the capture was taken, such as "r1:1 egress".
    hop
        With `at`: whether delays count from the ingress at that device instead of from the injection.
    tolerance
        With `at`: the difference in time from which the same TCP packet counts as diverged. Default: "100 us".
    accept
        Bounds to keep, such as `{"w1_normalized": 0.05}`; of two captures, such as `{"delay_p99": "5 ms"}`.
        `Comparison.is_accepted` says whether they are kept.
    interfaces, directions
        Of captures: only the packets of these interfaces and directions, first those of `reference`.
    lenient, reorder_window
        How captures are read, as of `read_pcap`.
    nat
        Of two captures: whether a router between them translates addresses or ports.
    max_delay, min_delay
        Of two captures: the largest difference of a delay from the usual one (default: "10 s"), and the minimum delay
        of a packet (default: "0 s").
    clock
        The clock of the second capture: "same", or "skewed" if it is another one.
    progress
        `True` for a bar.

    Returns
    -------
    Comparison
        `.summary` has the keys of `taunet compare --json`, `.matched` a row per packet.
    """
    window = arguments.quantity("reorder_window", reorder_window, "1 s")
    clock = arguments.choice("clock", clock, "same", "skewed")
    bounds = arguments.bounds(accept)
    sides = [_side("reference", reference), _side("other", other)]
    are_runs = [isinstance(side, _taunet.Table) or side.is_dir() for side in sides]
    picked = (
        arguments.chosen(*(_pair("interfaces", interfaces)[0], _pair("directions", directions)[0])),
        arguments.chosen(*(_pair("interfaces", interfaces)[1], _pair("directions", directions)[1])),
    )
    for is_run, side, pick in zip(are_runs, ("first", "second"), picked, strict=True):
        if is_run and pick != (None, None):
            raise ArgumentError(f"interfaces, directions: the {side} is a run, and they choose packets of captures")
    at = None if at is None else arguments.text("at", at)
    first, second = sides
    with Bar(progress, "compare") as bar:
        if all(are_runs):
            if at is not None:
                raise ArgumentError("at: it is for a run directory and a capture")
            summary, matched = _taunet.compare_runs(first, second, accept=bounds, progress=bar.show)
            return Comparison("runs", summary, {"matched": matched})
        if are_runs[1]:
            raise ArgumentError("write the run first, and then the capture")
        if are_runs[0]:
            if isinstance(first, _taunet.Table):
                raise ArgumentError("a run is compared with a capture by its directory: run it with `out`")
            if at is None:
                raise ArgumentError(f'where was {second} taken? write for example at="r1:1 egress"')
            summary = _taunet.compare_run(
                first, _path(second), at=at, hop=bool(hop),
                tolerance=arguments.quantity("tolerance", tolerance, "100 us"), chosen=picked[1], lenient=bool(lenient),
                reorder_window=window, clock=clock, accept=bounds, progress=bar.show,
            )
            found = Comparison("run and capture", summary, {})
        else:
            if at is not None:
                raise ArgumentError("at: it is for a run directory and a capture")
            summary, tables = _taunet.compare_captures(
                _path(first), _path(second), chosen=picked, lenient=bool(lenient), reorder_window=window,
                nat=bool(nat), max_delay=arguments.quantity("max_delay", max_delay, "10 s"),
                min_delay=arguments.quantity("min_delay", min_delay, "1 ms"), clock=clock, accept=bounds,
                progress=bar.show,
            )
            found = Comparison("captures", summary, tables)
    arguments.warn(found.summary.get("warnings", ()))
    return found


def _side(name: str, side: Side) -> Path | _taunet.Table:
    if isinstance(side, Results):
        if "packets" not in side.tables:
            raise ArgumentError(f"{name}: the run has no table of packets: run it without `packets = false`")
        return side.packets._native
    return arguments.path(name, side)


def _path(side: Path | _taunet.Table) -> Path:
    assert isinstance(side, Path)
    return side


def _pair(name: str, pair: object) -> tuple[Any, Any]:
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        return pair[0], pair[1]
    raise ArgumentTypeError(f"{name}: {pair!r} is not a pair: write that of the reference and that of the other")


class Calibration:
    """The device that was found between captures.

    `summary` has all figures and their uncertainties, with the keys of `calibration.json`. `write` makes a topology and a
    scenario of it, which run.
    """

    __slots__ = ("_native", "_summary", "directory")

    _native: _taunet.Calibration
    _summary: dict[str, Any]
    directory: Path | None
    """The folder that was written, if one was."""

    def __init__(self, native: _taunet.Calibration, directory: Path | None):
        self._native = native
        self._summary = json.loads(native.json())
        self.directory = directory

    @property
    def summary(self) -> dict[str, Any]:
        """All figures: `model`, `estimates`, `held_out`, `trials`, `not_identified`, ..."""
        return self._summary

    @property
    def discipline(self) -> str:
        """The queueing discipline in words."""
        return self._native.words()[0]

    @property
    def bottleneck(self) -> str:
        """The kind of bottleneck in words."""
        return self._native.words()[1]

    def write(self, out: PathLike, *, force: bool = False) -> Path:
        """Writes `topology.toml`, `scenario.toml`, `calibration.json` and `report.html` to a folder, which is returned."""
        self.directory = self._native.write(arguments.path("out", out), bool(force))
        return self.directory

    def topology(self) -> Topology:
        """The device as a network: its hosts and the path are around it. Needs `write` or `out`."""
        if self.directory is None:
            raise ArgumentError("the network is made of the files: write them first, with out=... or .write(...)")
        return Topology.load(self.directory / "topology.toml")

    def __repr__(self) -> str:
        return f"<taunet.Calibration: {self.discipline}, {self.bottleneck}>"

    def _repr_html_(self) -> str:
        from . import _html

        return _html.calibration(self)


def calibrate(
    ingress: PathLike | Iterable[PathLike],
    egress: PathLike,
    *,
    out: PathLike | None = None,
    force: bool = False,
    ingress_interfaces: Iterable[str | int | None] = (),
    ingress_directions: Iterable[str | None] = (),
    egress_interface: str | int | None = None,
    egress_direction: str | None = None,
    lenient: bool = False,
    reorder_window: str | None = None,
    progress: Progress = False,
) -> Calibration:
    """Finds the queue between captures: rate, burst, buffer, discipline, each with its uncertainty.

    Parameters
    ----------
    ingress
        The capture in front of the device, or a list with one per ingress port.
    egress
        The capture behind its egress port.
    out
        A folder to write: `topology.toml`, `scenario.toml`, `calibration.json`, `report.html`.
    force
        Whether an earlier calibration in `out` is replaced.
    ingress_interfaces, ingress_directions
        Only the packets of these interfaces and directions: none, one for all captures, or one per capture.
    egress_interface, egress_direction
        The same of the egress capture.
    lenient, reorder_window
        How captures are read, as of `read_pcap`.
    progress
        `True` for a bar.
    """
    if isinstance(ingress, (str, Path)) or hasattr(ingress, "__fspath__"):
        ingress = [ingress]  # type: ignore[list-item]
    elif not isinstance(ingress, Iterable):
        raise ArgumentTypeError(f"ingress: {ingress!r} is neither a path nor a list of paths")
    places = [arguments.path("ingress", place) for place in ingress]
    interfaces = _each("ingress_interfaces", ingress_interfaces, len(places))
    directions = _each("ingress_directions", ingress_directions, len(places))
    with Bar(progress, "calibrate") as bar:
        native = _taunet.calibrate(
            places,
            arguments.path("egress", egress),
            ingress_chosen=[arguments.chosen(*pair) for pair in zip(interfaces, directions, strict=True)],
            egress_chosen=arguments.chosen(egress_interface, egress_direction),
            lenient=bool(lenient),
            reorder_window=arguments.quantity("reorder_window", reorder_window, "1 s"),
            progress=bar.show,
        )
    found = Calibration(native, None)
    if out is not None:
        found.write(out, force=force)
    arguments.warn(found.summary["warnings"])
    return found


def _each(name: str, given: object, captures: int) -> list[Any]:
    if isinstance(given, (str, int)) or not isinstance(given, Iterable):
        return [given] * captures
    items = list(given)
    if len(items) <= 1:
        return (items or [None]) * captures
    if len(items) != captures:
        raise ArgumentError(
            f"{name}: {len(items)} are given for {captures} captures: give one for all of them, or one for each"
        )
    return items
