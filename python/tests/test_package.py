"""The package: topologies, names, help, and how long it takes to import."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import networkx
import pytest
from conftest import ROOT

import taunet
from taunet import Topology, _toml


def test_import_takes_less_than_150_ms() -> None:
    code = "import time; began = time.perf_counter(); import taunet; print(time.perf_counter() - began)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    assert min(times) < 0.15


def test_nothing_else_is_imported() -> None:
    code = "import sys, taunet; print([it for it in ('numpy', 'pandas', 'polars', 'pyarrow', 'networkx', 'tqdm', 'matplotlib') if it in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", ["taunet", "taunet._topology", "taunet._scenario", "taunet._table"])
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_everything_public_is_documented() -> None:
    for name in taunet.__all__:
        thing = getattr(taunet, name)
        if name.startswith("__"):
            continue
        assert thing.__module__ == "taunet" and inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                if not key.startswith("_") and (callable(member) or isinstance(member, (property, classmethod))):
                    assert inspect.getdoc(member), f"{name}.{key}"


GENERATED = {
    "line": (taunet.line(3), 6),
    "ends": (taunet.line(3, hosts=2, ends_only=True), 7),
    "ring": (taunet.ring(4, hosts=2), 12),
    "star": (taunet.star(5), 6),
    "dumbbell": (taunet.dumbbell(2, 3), 7),
    "torus": (taunet.torus([3, 3]), 18),
    "fat_tree": (taunet.fat_tree(4), 36),
    "leaf_spine": (taunet.leaf_spine(2, 3, hosts=4), 13),
    "waxman": (taunet.waxman(6, seed=2), 12),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_networks(name: str, tmp_path: Path) -> None:
    network, devices = GENERATED[name]
    assert network.statistics["devices"] == devices == len(network.devices)
    network.save(tmp_path / "net.toml")
    assert Topology.load(tmp_path / "net.toml").links == network.links
    assert network.to_svg().startswith("<svg") or "<svg" in network.to_svg()
    assert network.name in network._repr_html_()
    assert len(repr(network)) < 80


def test_a_generated_network_is_that_of_the_command_line(command: object, tmp_path: Path) -> None:
    command("topology", "generate", "fat-tree", "--k", 4, "--bandwidth", "1 Gbps", "--delay", "2 us", "-o", tmp_path / "tree.toml")  # type: ignore[operator]
    there = Topology.load(tmp_path / "tree.toml")
    here = taunet.fat_tree(4, bandwidth="1 Gbps", delay="2 us")
    assert (here.devices, here.links) == (there.devices, there.links)


def test_parameters_of_generated_networks() -> None:
    network = taunet.dumbbell(2, bandwidth="50 Mbps", delay="10 ms", access_bandwidth="1 Gbps", access_delay="1 ms")
    timing = {(link["bandwidth_bps"], link["delay_ps"]) for link in network.links}
    assert timing == {(50_000_000, 10_000_000_000), (1_000_000_000, 1_000_000_000)}


def test_a_graph_becomes_a_network_and_back() -> None:
    graph: networkx.Graph[Any] = networkx.Graph(name="triangle")
    graph.add_edge("a", "b", bandwidth="1 Gbps", delay="2 ms")
    graph.add_edge("b", "c", bandwidth="2 Gbps", delay="1 ms")
    graph.add_edge(("a", 1), "c", bandwidth="2 Gbps", delay="1 ms")
    network = Topology.from_graph(graph)
    assert network.name == "triangle"
    assert network.statistics["routers"] == network.statistics["hosts"] == 4
    assert {link["delay_ps"] for link in network.links} == {0, 1_000_000_000, 2_000_000_000}
    back = network.to_graph()
    assert back.number_of_nodes() == 8 and back.number_of_edges() == 2 * network.statistics["links"]
    assert networkx.is_strongly_connected(networkx.DiGraph(back))
    bare: networkx.Graph[int] = networkx.Graph()
    bare.add_edge(1, 2, bandwidth=100)
    with pytest.warns(taunet.TaunetWarning, match="Mbps") as caught:
        found = Topology.from_graph(bare, hosts=False)
    assert caught[0].filename == __file__
    assert found.links[0]["bandwidth_bps"] == 100_000_000
    assert Topology.from_graph(bare, hosts=False, bandwidth_unit="kbps").links[0]["bandwidth_bps"] == 100_000


def test_importing_a_file(tmp_path: Path) -> None:
    networkx.write_gml(networkx.path_graph(4), tmp_path / "path.gml")
    with pytest.warns(taunet.TaunetWarning):
        network = Topology.import_file(tmp_path / "path.gml", bandwidth="1 Gbps")
    assert network.statistics["routers"] == 4


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.toml")) + sorted((ROOT / "topologies").glob("*.toml")))
def test_a_dict_is_written_as_the_file_that_it_was_read_from(path: Path) -> None:
    content = tomllib.loads(path.read_text())
    assert tomllib.loads(_toml.document(content)) == content


def test_odd_texts_are_written_and_read_back() -> None:
    content = {"a b": {"ä\n\"\\\t\x7f": ["\r", {"": 1}]}, "x": [{"y": [{"z": float("inf")}]}, {}], "n": None}
    there = tomllib.loads(_toml.document(content))
    assert there == {"a b": {"ä\n\"\\\t\x7f": ["\r", {"": 1}]}, "x": [{"y": [{"z": float("inf")}]}, {}]}
