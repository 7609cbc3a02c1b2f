"""What users get wrong: each ends in an exception of taunet that says what to write instead, and none in a panic."""

# mypy would find many of them first.
# mypy: disable-error-code="arg-type,dict-item,index"

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx
import numpy
import pytest
from conftest import CAPTURES, ROOT, CommandLine, content

import taunet
from taunet import Scenario, Topology, _taunet, compare, read_pcap, run

TBF = ROOT / "scenarios" / "kernel-tbf-70.toml"
POISSON = ROOT / "scenarios" / "traffic-poisson.toml"
IN, OUT = CAPTURES / "in1.pcap.xz", CAPTURES / "out.pcap.xz"
PAIR: dict[str, Any] = {
    "name": "pair",
    "device": [{"name": "a", "kind": "host"}, {"name": "b", "kind": "host"}],
    "link": [{"between": ["a:0", "b:0"], "bandwidth": "1 Gbps"}],
}


def network(**changes: Any) -> Callable[[Path], object]:
    return lambda _: Topology.from_dict({**PAIR, **changes})


def link(**changes: Any) -> Callable[[Path], object]:
    return network(link=[{**PAIR["link"][0], **changes}])


def scenario(**changes: Any) -> Callable[[Path], object]:
    return lambda _: Scenario.from_dict(content(**changes)).run()


def traffic(**changes: Any) -> Callable[[Path], object]:
    entry = {"kind": "poisson", "from": "h0", "to": "h1", "rate": "1 Mbps", "size": "1000 B", "packets": 5, **changes}
    return scenario(traffic=[{key: it for key, it in entry.items() if it is not ...}])


def small(**options: Any) -> Callable[[Path], object]:
    return lambda _: run(content(), **options)


def written(text: str | bytes, read: Callable[[Path], object], name: str = "file.toml") -> Callable[[Path], object]:
    def call(folder: Path) -> object:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(folder / name)

    return call


def sweep(**changes: Any) -> Callable[[Path], object]:
    base = {"scenario": POISSON, "vary": {"traffic.0.rate.load": [0.5]}, **changes}
    return lambda folder: taunet.sweep({key: it for key, it in base.items() if it is not None}, out=folder / "sweep")


self_holding: list[Any] = []
self_holding.append(self_holding)

ERRORS: dict[str, tuple[Callable[[Path], object], str]] = {
    # Paths.
    "no such topology": (lambda _: Topology.load("nowhere.toml"), "no such file"),
    "a folder": (lambda folder: Topology.load(folder), "directory"),
    "a number as a path": (lambda _: Topology.load(5), "5 is not a path"),
    "none as a path": (lambda _: run(None), "None is not a path"),
    "an empty path": (lambda _: run(""), "the path is empty"),
    "a path with a null": (lambda _: run("a\0b"), "null character"),
    "a path of bytes": (lambda _: read_pcap(b"in.pcap"), "is not a path"),
    "a name that is nearly right": (lambda _: Scenario.load(ROOT / "scenarios" / "traffic-poison.toml"), "did you mean"),
    "a list of paths": (lambda _: run([TBF]), "is not a path"),
    # Files that are something else.
    "a scenario as a topology": (lambda _: Topology.load(TBF), "this is a scenario, not a topology"),
    "a topology as a scenario": (lambda _: Scenario.load(ROOT / "topologies" / "star-8.toml"), "this is a topology"),
    "a capture as a scenario": (lambda _: run(IN), "not a TOML file"),
    "json as toml": (written('{"name": "x"}', Topology.load), "not TOML"),
    "an empty file": (written("", Scenario.load), "missing key"),
    "not utf-8": (written(b'name = "\xff"', Topology.load), "UTF-8"),
    "broken toml": (written('name = "x', Topology.load), "file.toml:1:"),
    "two mistakes": (written("name = 1\nlinks = []\n", Topology.load), "links"),
    # Topologies.
    "no name": (lambda _: Topology.from_dict({key: it for key, it in PAIR.items() if key != "name"}), "missing key `name`"),
    "an empty name": (network(name=""), "the name is empty"),
    "an unknown key": (network(links=[]), "did you mean `link`"),
    "an unknown kind of device": (network(device=[{"name": "a", "kind": "hots"}]), "did you mean `host`"),
    "a device twice": (network(device=[{"name": "a", "kind": "host"}] * 2), "a"),
    "a link to nowhere": (link(between=["a:0", "c:0"]), "c"),
    "a link with one end": (link(between=["a:0"]), "between"),
    "a port twice": (network(link=[PAIR["link"][0]] * 2), "a:0"),
    "a bandwidth without a unit": (link(bandwidth=10), "unit"),
    "a bandwidth in metres": (link(bandwidth="10 m"), "10 m"),
    "a bandwidth of zero": (link(bandwidth="0 bps"), "0"),
    "a negative delay": (link(delay="-1 ms"), "-1 ms"),
    "a delay without a unit": (link(delay=0.001), "unit"),
    "length and delay": (link(delay="1 ms", length="1 km"), "delay"),
    "a loss above one": (link(loss=1.5), "1.5"),
    "an unknown discipline": (link(ptm={"kind": "fiffo"}), "did you mean `fifo`"),
    "a parameter of another discipline": (link(ptm={"kind": "fifo", "quantum": 3}), "quantum"),
    "a discipline without its rate": (link(ptm={"kind": "token-bucket"}), "rate"),
    "an address twice": (network(device=[{"name": name, "kind": "host", "addresses": ["10.0.0.1"]} for name in "ab"]), "10.0.0.1"),
    "an address that is none": (network(device=[{"name": "a", "kind": "host", "addresses": ["10.0.0"]}]), "10.0.0"),
    "a dict that is a list": (lambda _: Topology.from_dict([1]), "is not a dict"),
    "a key that is a number": (lambda _: Topology.from_dict({1: 2}), "the key 1 is not a text"),
    "a value that is a set": (network(description={1, 2}), "set"),
    "a value that is a function": (network(description=print), "has no place here"),
    "a number that is too large": (network(description=2**70), "out of range"),
    "a text that is none": (network(description="\ud800"), "surrogate"),
    "a list that holds itself": (network(description=self_holding), "deeper"),
    "toml that is no text": (lambda _: Topology.from_toml(5), "5 is not a text"),
    # Generators.
    "an odd fat tree": (lambda _: taunet.fat_tree(k=3), "must be even"),
    "a huge fat tree": (lambda _: taunet.fat_tree(k=10_000), "maximum"),
    "a negative k": (lambda _: taunet.fat_tree(k=-2), "k"),
    "a k that is a text": (lambda _: taunet.fat_tree(k="four"), "k"),
    "a k that is a truth value": (lambda _: taunet.fat_tree(k=True), "True"),
    "a fraction of a switch": (lambda _: taunet.line(2.5), "switches"),
    "a small ring": (lambda _: taunet.ring(2), "3"),
    "a torus of a number": (lambda _: taunet.torus(4), "is not a list"),
    "a torus of nothing": (lambda _: taunet.torus([]), "dimension"),
    "a bare bandwidth": (lambda _: taunet.star(2, bandwidth=1e9), "has no unit"),
    "a bandwidth in words": (lambda _: taunet.star(2, bandwidth="fast"), "fast"),
    "a discipline that is a text": (lambda _: taunet.star(2, ptm="fifo"), "is not a dict"),
    "a large alpha": (lambda _: taunet.waxman(5, alpha=2), "alpha"),
    "a side in seconds": (lambda _: taunet.waxman(5, side="3 s"), "3 s"),
    # Graphs and imports.
    "a graph that is a dict": (lambda _: Topology.from_graph({"a": "b"}), "is not a graph of networkx"),
    "an empty graph": (lambda _: Topology.from_graph(networkx.Graph()), "graph"),
    "a unit that is none": (lambda _: Topology.from_graph(networkx.path_graph(2), bandwidth_unit="apples"), "apples"),
    "a bare unit": (lambda _: Topology.from_graph(networkx.path_graph(2), delay_unit=1), "has no unit"),
    "an unknown format": (lambda _: Topology.import_file(TBF, format="visio"), "visio"),
    "a format that nothing shows": (written("hello", lambda path: Topology.import_file(path), "net.bin"), "format"),
    "a missing file to import": (lambda _: Topology.import_file("nowhere.gml"), "no such file"),
    "an unknown export": (lambda _: taunet.star(2).export("png"), "png"),
    # Scenarios.
    "no traffic": (scenario(traffic=[]), "the scenario has no traffic"),
    "an unknown traffic": (traffic(kind="possion"), "did you mean `poisson`"),
    "a size without a unit": (traffic(size=1000), "unit"),
    "no size": (traffic(size=...), "missing key `size`"),
    "an unknown host": (traffic(to="h9"), "h9"),
    "a host that sends to itself": (traffic(to="h0"), "h0"),
    "a load above what is possible": (traffic(rate={"load": -1}), "load"),
    "an until without a unit": (scenario(until=5), "unit"),
    "a seed that is negative": (scenario(seed=-1), "seed"),
    "an unknown engine in the dict": (scenario(engine="fast"), "fast"),
    "no topology": (scenario(topology=None), "missing key `topology`"),
    "a topology that is not there": (scenario(topology="nowhere.toml"), "no such file"),
    "a topology that is a number": (scenario(topology=5), "topology"),
    "a topology twice": (lambda _: Scenario.from_dict(content(), topology=taunet.star(2)), "twice"),
    "a topology as an argument that is a path": (lambda _: Scenario.load(TBF, topology="a.toml"), "is not a Topology"),
    "bounds without a capture": (scenario(accept={"pearson": 0.9}), "no effect"),
    "a capture that is not there": (scenario(measured=[{"capture": "nowhere.pcap", "at": {"port": "s0:0", "direction": "egress"}}]), "no such file"),
    "a vantage that is not there": (scenario(measured=[{"capture": OUT, "at": {"port": "s0:9", "direction": "egress"}}]), "s0:9"),
    "a vantage without a direction": (scenario(measured=[{"capture": OUT, "at": {"port": "s0:0"}}]), "missing key `direction`"),
    "a warm-up that is too long": (scenario(until="1 s", warm_up="2 s"), "leaves nothing"),
    # Runs.
    "a seed in words": (small(seed="one"), "a seed is a whole number"),
    "a negative seed": (small(seed=-1), "a seed is a whole number from 0 to"),
    "a huge seed": (small(seed=2**64), "a seed is a whole number from 0 to"),
    "a seed with a fraction": (small(seed=1.5), "whole number"),
    "a bare until": (small(until=5), "has no unit"),
    "an until in metres": (small(until="5 m"), "5 m"),
    "an until of nothing": (small(until=""), "until"),
    "a change of an unknown key": (small(set={"untill": "5 s"}), "did you mean `until`"),
    "a change of an unknown entry": (small(set={"traffic.3.size": "5 B"}), "its only one is 0"),
    "a change without a value": (small(set=["until"]), "it has no `=`"),
    "a change that is a text": (small(set="until=5 s"), "is one text"),
    "a change that is a number": (small(set=5), "neither a dict nor a list"),
    "a list of changes that are numbers": (small(set=[5]), "is not a text"),
    "a change with a number as its key": (small(set={5: 5}), "the key 5"),
    "an unknown engine": (lambda _: Scenario.from_dict(content()).run(engine="fast"), '"auto", "stream", "event"'),
    "an unknown table format": (lambda _: Scenario.from_dict(content()).run(format="xlsx"), '"parquet", "csv"'),
    "no threads": (lambda _: Scenario.from_dict(content()).run(threads=0), "threads"),
    "an out that is a file": (written("", lambda path: run(content(), out=path)), "is a file"),
    "an out that holds something else": (written("", lambda path: run(content(), out=path.parent)), "not part of a result"),
    "a reorder window without a unit": (lambda _: Scenario.from_dict(content()).run(reorder_window=1), "has no unit"),
    "a run of a number": (lambda _: run(5), "5 is not a path"),
    "a class that is called": (lambda _: Scenario("a.toml"), "Scenario.load"),
    # Tables.
    "an unknown table": (lambda _: run(content()).tables["packet"], "there is no table 'packet'"),
    "a table that was not recorded": (lambda _: run(content()).queues, "there is no table 'queues'"),
    "an unknown column": (lambda _: run(content()).packets.to_numpy("delay"), "did you mean `delay_ps`"),
    "an unknown column to select": (lambda _: run(content()).packets.select("x"), "has no column `x`"),
    "a column by brackets": (lambda _: run(content()).packets["delay_ps"], "to_numpy"),
    "a range with a step": (lambda _: run(content()).packets[::2], "without a step"),
    # Captures.
    "no such capture": (lambda _: read_pcap("nowhere.pcap"), "nowhere.pcap"),
    "a capture that is a folder": (lambda folder: read_pcap(folder), "directory"),
    "a capture that is a text": (written("hello, world, this is no capture", read_pcap), "not a capture"),
    "an empty capture": (written("", read_pcap), "file.toml"),
    "a damaged capture": (written(CAPTURES.joinpath("in1.pcap.xz").read_bytes()[:20_000], read_pcap, "a.pcap.xz"), "a.pcap.xz"),
    "a negative number of packets": (lambda _: read_pcap(IN, max_packets=-1), "max_packets"),
    "packets in words": (lambda _: read_pcap(IN, max_packets="all"), "max_packets"),
    "an unknown direction": (lambda _: read_pcap(IN, direction="up"), '"in" or "out"'),
    "an interface of nothing": (lambda _: read_pcap(IN, interface=""), "interface"),
    "an interface that is negative": (lambda _: read_pcap(IN, interface=-1), "interface"),
    # Comparisons.
    "captures that are not there": (lambda _: compare("a.pcap", "b.pcap"), "a.pcap"),
    "a run and a capture without a vantage": (lambda folder: compare(folder, OUT), "where was"),
    "a capture and a run": (lambda folder: compare(IN, folder), "the run first"),
    "a folder that is no run": (lambda folder: compare(folder, folder), "no table of packets"),
    "a vantage of two captures": (lambda _: compare(IN, OUT, at="r1:1 egress"), "for a run directory and a capture"),
    "a vantage that is none": (lambda folder: compare(folder, OUT, at="r1"), "is not a vantage"),
    "an unknown clock": (lambda _: compare(IN, OUT, clock="wrong"), '"same", "skewed"'),
    "a bare delay": (lambda _: compare(IN, OUT, max_delay=10), "has no unit"),
    "a delay in bytes": (lambda _: compare(IN, OUT, max_delay="10 B"), '"B" is not a unit'),
    "an unknown bound": (lambda _: compare(IN, OUT, accept={"pearsonn": 0.9}), "pearsonn"),
    "a bound without a unit": (lambda _: compare(IN, OUT, accept={"delay_p99": 5}), "unit"),
    "bounds that are a list": (lambda _: compare(IN, OUT, accept=["delay_p99=5 ms"]), "is not a dict"),
    "one interface": (lambda _: compare(IN, OUT, interfaces="eth0"), "is not a pair"),
    "a run without packets": (lambda _: compare(run(content(record={"packets": False})), IN), "no table of packets"),
    # Calibration.
    "no ingress": (lambda _: taunet.calibrate([], OUT), "no ingress capture"),
    "an ingress of a number": (lambda _: taunet.calibrate(5, OUT), "neither a path nor a list"),
    "captures that are swapped": (lambda _: taunet.calibrate(OUT, IN), "look swapped"),
    "interfaces of other captures": (lambda _: taunet.calibrate([IN], OUT, ingress_interfaces=["a", "b"]), "2 are given for 1"),
    # Sweeps.
    "a sweep that is not there": (lambda _: taunet.sweep("nowhere.toml"), "no such file"),
    "a scenario as a sweep": (lambda folder: taunet.sweep(POISSON, out=folder / "sweep"), "this is a scenario"),
    "a sweep of no scenario": (sweep(scenario=None), "is not a path"),
    "a sweep of a scenario that is not there": (sweep(scenario="nowhere.toml"), "no such file"),
    "a sweep of nothing": (sweep(vary={"traffic.0.rate.load": []}), "load"),
    "a sweep with no replications": (sweep(replications=0), "replications"),
    "an executor that is none": (lambda _: taunet.sweep(POISSON, executor=5), "has no method `submit`"),
    "jobs in words": (lambda _: taunet.sweep(POISSON, jobs="all"), "jobs"),
    "a folder of something else": (written("", lambda path: taunet.sweep({"scenario": POISSON}, out=path.parent)), "something else"),
    # Objects that are not sent elsewhere.
    "pickled results": (lambda _: pickle.dumps(run(content())), "results.summary"),
    "a pickled table": (lambda _: pickle.dumps(run(content()).flows), "to_polars"),
    "a pickled topology": (lambda _: pickle.dumps(taunet.star(2)), "to_toml"),
}


def test_there_are_a_hundred() -> None:
    assert len(ERRORS) >= 100


@pytest.mark.parametrize("name", ERRORS)
def test_a_mistake_is_an_exception_of_taunet(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, says = ERRORS[name]
    with pytest.raises(taunet.TaunetError) as caught:
        call(tmp_path)
    assert not isinstance(caught.value, taunet.FaultError)
    assert says in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


# The same mistakes at the command line: its arguments, and the call.
ALIKE: dict[str, tuple[list[object], Callable[[Path], object]]] = {
    "no such scenario": (["run", "nowhere.toml"], lambda _: run("nowhere.toml")),
    "a topology as a scenario": (["run", ROOT / "topologies" / "star-8.toml"], lambda _: run(ROOT / "topologies" / "star-8.toml")),
    "a change of an unknown key": (["run", POISSON, "--set", "untill=5 s"], lambda _: run(POISSON, set=["untill=5 s"])),
    "a change of an unknown entry": (["run", POISSON, "--set", "traffic.7.size=5 B"], lambda _: run(POISSON, set=["traffic.7.size=5 B"])),
    "a change without a value": (["run", POISSON, "--set", "until"], lambda _: run(POISSON, set=["until"])),
    "a change in the topology": (
        ["run", POISSON, "--set", "topology.defaults.link.bandwidth=5 m"],
        lambda _: run(POISSON, set=["topology.defaults.link.bandwidth=5 m"]),
    ),
    "a wrong until": (["run", POISSON, "--set", 'until="5 m"'], lambda _: run(POISSON, until="5 m")),
    "an unknown host": (["run", POISSON, "--set", 'traffic.0.to="h77"'], lambda _: run(POISSON, set={"traffic.0.to": "h77"})),
    "mistakes in a file": (["check", "wrong.toml"], lambda _: Topology.load("wrong.toml")),
    "no such sweep": (["sweep", "nowhere.toml"], lambda _: taunet.sweep("nowhere.toml")),
    "a scenario as a sweep": (["sweep", POISSON], lambda _: taunet.sweep(POISSON)),
    "no such capture": (["inspect", "nowhere.pcap"], lambda _: read_pcap("nowhere.pcap")),
    "no capture": (["inspect", POISSON], lambda _: read_pcap(POISSON)),
    "captures that are swapped": (
        ["calibrate", "--ingress", OUT, "--egress", IN, "-o", "found"], lambda _: taunet.calibrate(OUT, IN)
    ),
    "a run that is none": (["compare", ".", OUT, "--at", "r1:1 egress"], lambda _: compare(".", OUT, at="r1:1 egress")),
    "a graph that is broken": (["topology", "import", "wrong.dot"], lambda _: Topology.import_file("wrong.dot")),
}


@pytest.mark.parametrize("name", ALIKE)
def test_the_words_are_those_of_the_command_line(
    name: str, command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.toml").write_text('name = "wrong"\nlinks = []\n[generate]\nkind = "fat-treee"\nk = 4\n')
    (tmp_path / "wrong.dot").write_text('graph { a -- b [ }')
    arguments, call = ALIKE[name]
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    with pytest.raises(taunet.TaunetError) as caught:
        call(tmp_path)
    error = caught.value
    # The program wraps nothing, but puts the help below the message.
    if isinstance(error, taunet.ConfigError):
        said = [text for mistake in error.mistakes for text in (mistake.message, mistake.help) if text]
    else:
        said = [str(error)]
    for text in said:
        assert text in done.stderr


def test_the_places_of_mistakes() -> None:
    with pytest.raises(taunet.ConfigError) as caught:
        Topology.from_toml('name = "x"\n[generate]\nkind = "star"\nhosts = "two"\n', name="star.toml")
    error = caught.value
    assert (error.file, error.line, error.column) == ("star.toml", 4, 9)
    assert str(error).startswith("star.toml:4:9: ")
    assert str(error).endswith('     4 | hosts = "two"\n       |         ^^^^^')
    assert error.message and error.mistakes[0].length == 5
    assert isinstance(error, ValueError)


def test_a_panic_is_a_fault_that_says_what_to_do() -> None:
    with pytest.raises(taunet.FaultError, match="a fault of taunet: please report it") as caught:
        _taunet.fault()
    assert isinstance(caught.value, taunet.TaunetError)
    # And the module works on.
    assert taunet.star(2).statistics["hosts"] == 2


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(taunet.MissingPackageError, match=r"pip install 'taunet\[polars\]'"):
        run(content()).packets.to_polars()


def test_numbers_of_numpy_are_numbers() -> None:
    network = taunet.fat_tree(k=numpy.int64(4), ptm={"kind": "fifo", "buffer": "5 packets"})
    assert network.statistics["devices"] == 36
    assert taunet.torus(numpy.array([2, 2])).statistics["switches"] == 4
    results = run(content(), seed=numpy.uint8(3), set={"traffic.0.rate.load": numpy.float32(0.5)})
    assert results.summary["seed"] == 3
