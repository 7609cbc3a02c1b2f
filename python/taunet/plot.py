"""Plots with matplotlib, in the colours and with the definitions of the report: `pip install 'taunet[plot]'`.

Every function draws into `ax`, or into a new figure, and gives its axes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from . import _arguments as arguments
from ._captures import Comparison
from ._errors import ArgumentError, ArgumentTypeError
from ._scenario import Results
from ._table import Table
from ._topology import Topology

if TYPE_CHECKING:
    import numpy
    from matplotlib.axes import Axes

__all__ = ["delay_cdf", "slowdown_by_size", "time_series", "topology"]

# Those of src/report/report.css, on paper.
_INK, _QUIET, _LINE, _GRID = "#1f2933", "#52606d", "#9aa5b1", "#e4e8ec"
_SIMULATED, _MEASURED = "#0b63ab", "#c2410c"
_SERIES = ("#0b63ab", "#c2410c", "#0b6b4a", "#6d3fb5", "#be185d", "#7a4b00", "#0e7490", "#52606d")
_KINDS = {"host": "#f0b429", "switch": "#2680c2", "router": "#0c8a7b"}

# As many flows as a point of slowdowns has at least, and as many points as there are at most.
_OF_GROUP, _GROUPS = 20, 24
_WINDOWS = 200


def delay_cdf(
    *sources: Results | Comparison | Table, labels: Sequence[str] | None = None, complementary: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The distribution of delays: the fraction of packets that take no longer than the time below.

    Parameters
    ----------
    sources
        Runs, comparisons (both of their sides) or tables with a column `delay_ps`.
    labels
        The names of the curves.
    complementary
        Whether the fraction that takes longer is drawn, on logarithmic axes: tails can be read off.
    """
    np = arguments.need("numpy", "plot", "taunet.plot")
    curves: list[tuple[str, Any, str | None]] = []
    for source in sources:
        curves.extend(_delays(source))
    if not curves:
        raise ArgumentError("there is nothing to draw: give a run, a comparison or a table")
    if labels is not None and len(labels) != len(curves):
        raise ArgumentError(f"labels: {len(labels)} are given for {len(curves)} curves")
    ax = _axes(ax, "delay (us)", "fraction of packets that take longer" if complementary else "fraction of packets")
    for number, (name, delays, color) in enumerate(curves):
        delays = np.sort(delays[~np.isnan(delays)]) / 1e6
        if not len(delays):
            raise ArgumentError(f"{name}: no packet has a delay")
        places = np.unique(np.linspace(0, len(delays) - 1, 2_000).round().astype(int))
        if complementary:
            # Closer towards the tail, which is what the axes show.
            tail = len(delays) - np.unique(np.geomspace(1, len(delays), 1_000).round().astype(int))
            places = np.unique(np.concatenate([places, tail]))
        below = (places + 1) / len(delays)
        fraction = 1 - below + 1 / len(delays) if complementary else below
        label = labels[number] if labels is not None else name
        color = color if color is not None and len(sources) == 1 else _SERIES[number % len(_SERIES)]
        ax.plot(delays[places], fraction, label=label, color=color, linewidth=1.5, drawstyle="steps-post")
    if complementary:
        ax.set_xscale("log")
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, 1)
    _legend(ax, len(curves))
    return ax


def time_series(source: Results | Table, *, windows: int = _WINDOWS, ax: Axes | None = None) -> Axes:
    """Delays over time: the mean and the 99th percentile of the packets that are sent in each window.

    `source` is a run or its table `packets`; `windows` is the number of windows.
    """
    np = arguments.need("numpy", "plot", "taunet.plot")
    windows = arguments.whole("windows", windows, 1, 100_000)
    packets = source.packets if isinstance(source, Results) else source
    if not isinstance(packets, Table):
        raise ArgumentTypeError(f"source: {source!r} is neither a run nor a table")
    sent, delays = packets.to_numpy("injected_ps").astype("f8") / 1e12, packets.to_numpy("delay_ps") / 1e6
    is_there = ~np.isnan(delays)
    sent, delays = sent[is_there], delays[is_there]
    if not len(sent):
        raise ArgumentError("no packet has a delay")
    edges = np.linspace(sent.min(), sent.max(), windows + 1)
    order = np.argsort(sent, kind="stable")
    sent, delays = sent[order], delays[order]
    bounds = np.searchsorted(sent, edges[1:-1])
    times, means, tails = [], [], []
    for number, window in enumerate(np.split(delays, bounds)):
        if len(window):
            times.append((edges[number] + edges[number + 1]) / 2)
            means.append(window.mean())
            tails.append(_percentile(np.sort(window), 0.99))
    ax = _axes(ax, "time of sending (s)", "delay (us)")
    ax.plot(times, means, label="mean", color=_SERIES[0], linewidth=1.5)
    ax.plot(times, tails, label="p99", color=_SERIES[1], linewidth=1.0)
    ax.set_ylim(bottom=0)
    _legend(ax, 2)
    return ax


def slowdown_by_size(source: Results | Table, *, ax: Axes | None = None) -> Axes:
    """Slowdown by size of flows: completion time divided by the ideal one.

    The percentiles p50, p95 and p99 of groups of flows of similar size, at least 20 flows each, as in the report.
    `source` is a run with connections, or its table `flows`.
    """
    np = arguments.need("numpy", "plot", "taunet.plot")
    flows = source.flows if isinstance(source, Results) else source
    if not isinstance(flows, Table):
        raise ArgumentTypeError(f"source: {source!r} is neither a run nor a table")
    if "slowdown" not in flows.columns:
        raise ArgumentError("the run has no connections, so that no flow has a slowdown")
    sizes, slowdowns = flows.to_numpy("bytes_acknowledged").astype("f8"), flows.to_numpy("slowdown")
    is_there = ~(np.isnan(sizes) | np.isnan(slowdowns))
    sizes, slowdowns = sizes[is_there], slowdowns[is_there]
    if not len(sizes):
        raise ArgumentError("no flow has a slowdown: none of a given size has finished")
    order = np.lexsort((slowdowns, sizes))
    groups = min(max(len(sizes) // _OF_GROUP, 1), _GROUPS)
    points: list[tuple[float, ...]] = []
    for number in range(groups):
        group = order[number * len(order) // groups : (number + 1) * len(order) // groups]
        size, sorted_ = float(sizes[group].mean()), np.sort(slowdowns[group])
        if points and size <= points[-1][0]:
            continue
        points.append((size, *(_percentile(sorted_, level) for level in (0.5, 0.95, 0.99))))
    ax = _axes(ax, "size of flows (B)", "slowdown")
    for column, (name, color) in enumerate(zip(("p50", "p95", "p99"), _SERIES, strict=False), 1):
        ax.plot([point[0] for point in points], [point[column] for point in points], "o-", markersize=3, label=name, color=color)
    ax.set_xscale("log")
    ax.set_yscale("log")
    _legend(ax, 3)
    return ax


def topology(source: Topology, *, labels: bool | None = None, ax: Axes | None = None) -> Axes:
    """The network, laid out as in the report. `labels` draws names; by default where there are at most 60 devices."""
    arguments.need("matplotlib", "plot", "taunet.plot")
    if not isinstance(source, Topology):
        raise ArgumentTypeError(f"source: {source!r} is not a Topology")
    ax = _axes(ax, "", "")
    picture = ElementTree.fromstring(source.to_svg())
    space = "{http://www.w3.org/2000/svg}"
    for path in picture.iter(f"{space}path"):
        if path.get("class") == "link":
            numbers = [float(it) for it in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
            points = list(zip(numbers[::2], numbers[1::2], strict=False))
            x, y = zip(*_curve(points), strict=True)
            ax.plot(x, y, color=_LINE, linewidth=float(path.get("stroke-width", "1")) * 0.7, zorder=1)
    found: dict[str, list[tuple[float, float]]] = {}
    names: list[tuple[str, float, float]] = []
    for group in picture.findall(f"{space}g"):
        title = group.find(f"{space}title")
        place = re.findall(r"-?\d+(?:\.\d+)?", group.get("transform", ""))
        if title is None or title.text is None or len(place) != 2:
            continue
        name, _, what = title.text.rpartition(": ")
        kind = what.split()[0]
        found.setdefault(kind, []).append((float(place[0]), float(place[1])))
        names.append((name, float(place[0]), float(place[1])))
    for kind, places in found.items():
        x, y = zip(*places, strict=True)
        ax.scatter(x, y, s=60, marker="s", color=_KINDS.get(kind, _QUIET), label=f"{kind} ({len(places):,})", zorder=2)
    if labels if labels is not None else len(names) <= 60:
        for name, at_x, at_y in names:
            ax.annotate(
                name, (at_x, at_y), (0, -11), textcoords="offset points", ha="center", fontsize=7, color=_INK
            )
    ax.set_title(source.name, loc="left", color=_INK)
    ax.invert_yaxis()
    ax.set_aspect("equal")
    ax.axis("off")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, 0), ncols=3)
    return ax


def _curve(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A line, or the curve of parallel links: from the first point to the last, bent towards the one between."""
    if len(points) != 3:
        return points
    (ax, ay), (bx, by), (cx, cy) = points
    steps = [number / 16 for number in range(17)]
    return [
        ((1 - t) ** 2 * ax + 2 * t * (1 - t) * bx + t * t * cx, (1 - t) ** 2 * ay + 2 * t * (1 - t) * by + t * t * cy)
        for t in steps
    ]


def _delays(source: object) -> list[tuple[str, numpy.ndarray[Any, Any], str | None]]:
    """The curves of a source: name, delays in picoseconds, colour."""
    if isinstance(source, Results):
        if not source.summary["measured"]:
            return [(source.summary["scenario"], source.packets.to_numpy("delay_ps").astype("f8"), _SIMULATED)]
        source = source.matched
    if isinstance(source, Comparison):
        source = source.matched
    if not isinstance(source, Table):
        raise ArgumentTypeError(f"{source!r} is neither a run nor a comparison nor a table")
    sides = [("simulated", _SIMULATED), ("measured", _MEASURED), ("first", _MEASURED), ("second", _SIMULATED)]
    pairs = [(side, source.to_numpy(f"{side}_delay_ps").astype("f8"), color) for side, color in sides
             if f"{side}_delay_ps" in source.columns]
    return [*pairs] or [(source.name, source.to_numpy("delay_ps").astype("f8"), _SIMULATED)]


def _percentile(values: Any, level: float) -> float:
    """The smallest value that at least this fraction does not exceed; `values` are sorted."""
    return float(values[max(math.ceil(level * len(values)), 1) - 1])


def _axes(ax: Axes | None, x: str, y: str) -> Axes:
    if ax is None:
        pyplot = arguments.need("matplotlib.pyplot", "plot", "taunet.plot")
        _, ax = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    elif not hasattr(ax, "plot"):
        raise ArgumentTypeError(f"ax: {ax!r} is not an Axes of matplotlib")
    assert ax is not None
    ax.set_xlabel(x, color=_INK)
    ax.set_ylabel(y, color=_INK)
    ax.grid(color=_GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(_LINE)
    ax.tick_params(colors=_QUIET)
    return ax


def _legend(ax: Axes, curves: int) -> None:
    if curves > 1:
        ax.legend(frameon=False, labelcolor=_INK)
