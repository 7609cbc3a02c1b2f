"""Plots: what is drawn is what the tables say."""

# matplotlib gives whatever its lines were made of.
# mypy: disable-error-code="arg-type,call-overload,index,misc,operator,type-var,union-attr"

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import matplotlib.pyplot
import numpy
import pytest
from conftest import CAPTURES, ROOT, content

import taunet
import taunet.plot

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed() -> object:
    yield
    matplotlib.pyplot.close("all")


def test_the_distribution_of_delays() -> None:
    results = taunet.run(content())
    (line,) = taunet.plot.delay_cdf(results).get_lines()
    x, y = line.get_data()
    delays = numpy.sort(results.packets.to_numpy("delay_ps")) / 1e6
    assert x[0] == delays[0] and x[-1] == delays[-1] and y[-1] == 1.0
    assert numpy.interp(0.5, y, x) == pytest.approx(results.summary["delay_s"]["p50"] * 1e6, rel=0.02)
    (above,) = taunet.plot.delay_cdf(results, complementary=True).get_lines()
    assert above.get_ydata()[0] == 1.0 and above.get_ydata()[-1] == pytest.approx(1 / 500)


def test_the_sides_of_a_comparison() -> None:
    results = taunet.run(ROOT / "scenarios" / "kernel-tbf-70.toml")
    axes = taunet.plot.delay_cdf(results)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["simulated", "measured"]
    of_captures = taunet.compare(CAPTURES / "in1.pcap.xz", CAPTURES / "out.pcap.xz")
    same = taunet.plot.delay_cdf(of_captures, ax=axes)
    assert same is axes and len(axes.get_lines()) == 3
    several = taunet.plot.delay_cdf(results, of_captures, labels=["a", "b", "c"])
    assert [line.get_label() for line in several.get_lines()] == ["a", "b", "c"]


def test_delays_over_time() -> None:
    results = taunet.run(content())
    mean, tail = taunet.plot.time_series(results, windows=1).get_lines()
    assert mean.get_ydata()[0] == pytest.approx(results.summary["delay_s"]["mean"] * 1e6)
    assert tail.get_ydata()[0] == pytest.approx(results.summary["delay_s"]["p99"] * 1e6, rel=0.005)
    assert len(taunet.plot.time_series(results.packets, windows=10).get_lines()[0].get_xdata()) == 10


def test_slowdown_by_size() -> None:
    results = taunet.run(ROOT / "scenarios" / "tcp-flows.toml")
    lines = taunet.plot.slowdown_by_size(results).get_lines()
    assert [line.get_label() for line in lines] == ["p50", "p95", "p99"]
    low, high = lines[0].get_ydata(), lines[2].get_ydata()
    assert 1 < len(low) <= 24 and (numpy.diff(lines[0].get_xdata()) > 0).all() and (numpy.asarray(low) <= high).all()
    assert min(low) >= 0.99


def test_a_network() -> None:
    axes = taunet.plot.topology(taunet.fat_tree(4))
    assert {text.get_text() for text in axes.texts} >= {"h0", "core0", "edge0-0"}
    assert len(axes.get_lines()) == 48 and sum(len(kind.get_offsets()) for kind in axes.collections) == 36
    assert not taunet.plot.topology(taunet.fat_tree(4), labels=False).texts


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: taunet.plot.delay_cdf(), "nothing to draw"),
        (lambda: taunet.plot.delay_cdf(5), "neither a run"),
        (lambda: taunet.plot.delay_cdf(taunet.run(content()), labels=["a", "b"]), "2 are given for 1"),
        (lambda: taunet.plot.delay_cdf(taunet.run(content()).flows), "no column `delay_ps`"),
        (lambda: taunet.plot.time_series(5), "neither a run"),
        (lambda: taunet.plot.time_series(taunet.run(content()), windows=0), "windows"),
        (lambda: taunet.plot.slowdown_by_size(taunet.run(content())), "no flow has a slowdown"),
        (lambda: taunet.plot.topology("net.toml"), "is not a Topology"),
        (lambda: taunet.plot.topology(taunet.star(2), ax=5), "is not an Axes"),
    ],
)
def test_what_cannot_be_drawn(call: Callable[[], object], says: str) -> None:
    with pytest.raises(taunet.TaunetError, match=says):
        call()
