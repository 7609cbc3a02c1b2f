"""Topologies: networks of hosts, switches, routers and links."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import _arguments as arguments
from . import _taunet, _toml
from ._arguments import Changes, PathLike
from ._errors import ArgumentError, ArgumentTypeError, ConfigError, Mistake

if TYPE_CHECKING:
    import networkx


class Topology:
    """A network of devices and links.

    Make one by a generator (`taunet.fat_tree(k=8)`), from a file (`Topology.load`), from TOML or a dict of the
    same keys, or from a graph of networkx.
    """

    __slots__ = ("_native", "_statistics")

    _native: _taunet.Topology
    _statistics: dict[str, Any] | None

    def __init__(self, native: _taunet.Topology):
        if not isinstance(native, _taunet.Topology):
            raise ArgumentTypeError("write Topology.load(path), Topology.from_toml(text) or a generator")
        self._native = native
        self._statistics = None

    @classmethod
    def load(cls, path: PathLike, *, set: Changes | None = None) -> Topology:
        """Reads a topology file. `set` changes values in it, such as `{"link.0.bandwidth": "10 Mbps"}`.

        Raises
        ------
        ConfigError
            With every mistake in the file, each with its line.
        """
        return cls(_taunet.Topology.load(arguments.path("path", path), arguments.changes(set)))

    @classmethod
    def from_toml(cls, text: str, *, name: str = "topology", set: Changes | None = None) -> Topology:
        """Reads a topology from TOML. `name` stands for its file in errors."""
        text, name = arguments.text("text", text), arguments.text("name", name)
        return cls(_taunet.Topology.from_text(text, name, arguments.changes(set)))

    @classmethod
    def from_dict(cls, content: Mapping[str, object], *, name: str = "topology") -> Topology:
        """Reads a topology from a dict with the keys of a topology file.

        Examples
        --------
        >>> import taunet
        >>> taunet.Topology.from_dict({
        ...     "name": "pair",
        ...     "device": [{"name": "a", "kind": "host"}, {"name": "b", "kind": "host"}],
        ...     "link": [{"between": ["a:0", "b:0"], "bandwidth": "1 Gbps", "delay": "5 us"}],
        ... })
        <taunet.Topology pair: 2 devices, 1 link>
        """
        return cls.from_toml(_toml.document(content, "topology"), name=name)

    @classmethod
    def from_graph(
        cls,
        graph: networkx.Graph[Any],
        *,
        name: str | None = None,
        hosts: bool = True,
        bandwidth: str = "10 Gbps",
        delay: str = "0 s",
        access_bandwidth: str = "100 Gbps",
        bandwidth_unit: str | None = None,
        delay_unit: str | None = None,
        length_unit: str | None = None,
    ) -> Topology:
        """Makes a topology of a graph of networkx, as `taunet topology import` makes one of a file.

        Nodes become routers, each with a host, unless their attribute `kind` (`host`, `switch` or `router`) says
        otherwise. Attributes of edges are read by their names: `bandwidth`, `delay`, `length`, `loss`, ...

        Parameters
        ----------
        graph
            A graph of networkx, directed or not.
        name
            The name of the topology. Default: that of the graph.
        hosts
            Whether a host is added at each node.
        bandwidth, delay
            Those of edges that say none.
        access_bandwidth
            That of the links to added hosts.
        bandwidth_unit, delay_unit, length_unit
            The units of attributes that are bare numbers, such as "Mbps", "ms" and "km". Without a unit, bandwidths
            are in Mbps, and delays and lengths are left out. Warnings say so.
        """
        networkx = arguments.need("networkx", "networkx", "Topology.from_graph")
        if not isinstance(graph, networkx.Graph):
            raise ArgumentTypeError(f"graph: {graph!r} is not a graph of networkx")
        content = networkx.node_link_data(graph, edges="edges")
        try:
            text = json.dumps(content, default=_plain)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(f"graph: an attribute has no place in a network: {error}") from None
        options = {
            "name": name if name is not None else (str(graph.name) or "graph"),
            "hosts": "true" if hosts else "false",
            "bandwidth": arguments.quantity("bandwidth", bandwidth, "10 Gbps"),
            "delay": arguments.quantity("delay", delay, "1 ms"),
            "access_bandwidth": arguments.quantity("access_bandwidth", access_bandwidth, "100 Gbps"),
            "bandwidth_unit": arguments.quantity("bandwidth_unit", bandwidth_unit, "Mbps"),
            "delay_unit": arguments.quantity("delay_unit", delay_unit, "ms"),
            "length_unit": arguments.quantity("length_unit", length_unit, "km"),
        }
        return cls._imported("graph", text.encode(), "json", options)

    @classmethod
    def import_file(
        cls,
        path: PathLike,
        *,
        format: str | None = None,
        name: str | None = None,
        hosts: bool = True,
        bandwidth: str = "10 Gbps",
        delay: str = "0 s",
        access_bandwidth: str = "100 Gbps",
        bandwidth_unit: str | None = None,
        delay_unit: str | None = None,
        length_unit: str | None = None,
        encoding: str | None = None,
    ) -> Topology:
        """Imports a network of another format: GraphML, GML, DOT, SNDlib or node-link JSON.

        `format` is "graphml", "gml", "dot", "sndlib" or "json"; by default, the name and the content of the file
        show it. The other parameters are those of `from_graph`.
        """
        place = arguments.path("path", path)
        try:
            content = place.read_bytes()
        except FileNotFoundError:
            raise ConfigError([Mistake(str(place), None, None, "no such file", None)]) from None
        except OSError as error:
            message = f"cannot read this file: {error.strerror}"
            raise ConfigError([Mistake(str(place), None, None, message, None)]) from None
        options = {
            "name": name,
            "hosts": "true" if hosts else "false",
            "bandwidth": arguments.quantity("bandwidth", bandwidth, "10 Gbps"),
            "delay": arguments.quantity("delay", delay, "1 ms"),
            "access_bandwidth": arguments.quantity("access_bandwidth", access_bandwidth, "100 Gbps"),
            "bandwidth_unit": arguments.quantity("bandwidth_unit", bandwidth_unit, "Mbps"),
            "delay_unit": arguments.quantity("delay_unit", delay_unit, "ms"),
            "length_unit": arguments.quantity("length_unit", length_unit, "km"),
            "encoding": encoding,
        }
        return cls._imported(str(place), content, format, options)

    @classmethod
    def _imported(cls, name: str, content: bytes, format: str | None, options: dict[str, str | None]) -> Topology:
        said = [(key, arguments.text(key, value)) for key, value in options.items() if value is not None]
        if format is not None:
            format = arguments.text("format", format)
        found = cls(_taunet.Topology.import_network(name, content, format, said))
        arguments.warn(found._native.remarks)
        return found

    @property
    def name(self) -> str:
        """The name of the topology."""
        return self._native.name

    def to_toml(self) -> str:
        """The topology file: the text that this was read from, or that a generator or an import made."""
        return self._native.toml

    def save(self, path: PathLike) -> None:
        """Writes the topology file."""
        arguments.path("path", path).write_text(self.to_toml(), encoding="utf-8")

    @property
    def statistics(self) -> dict[str, Any]:
        """Counts and measures: `devices`, `hosts`, `links`, `diameter` (in links), `min_delay_ps`, ..."""
        if self._statistics is None:
            self._statistics = json.loads(self._native.statistics())
        return dict(self._statistics or {})

    @property
    def devices(self) -> list[dict[str, Any]]:
        """The devices: `name`, `kind`, `addresses`, `processing_ps` and `ports` of each."""
        return json.loads(self._native.parts())["device"]  # type: ignore[no-any-return]

    @property
    def links(self) -> list[dict[str, Any]]:
        """Each direction of each link: `from`, `to`, `bandwidth_bps` (`None`: unlimited), `delay_ps`, `overhead_bytes`."""
        return json.loads(self._native.parts())["link"]  # type: ignore[no-any-return]

    def to_svg(self, *, link_labels: bool = False) -> str:
        """A picture as SVG; `link_labels` shows bandwidth and delay at each link."""
        return self._native.export("svg", bool(link_labels))

    def export(self, format: str) -> str:
        """The network as "svg", "dot" or "graphml"."""
        return self._native.export(arguments.text("format", format))

    def to_graph(self) -> networkx.Graph[Any]:
        """A graph of networkx: nodes with the keys of `devices`, edges with those of `links`, by device names."""
        networkx = arguments.need("networkx", "networkx", "Topology.to_graph")
        graph = networkx.MultiDiGraph(name=self.name)
        for device in self.devices:
            graph.add_node(device.pop("name"), **device)
        for link in self.links:
            ends = [link[end].rpartition(":") for end in ("from", "to")]
            timing = {key: value for key, value in link.items() if key not in ("from", "to")}
            ports = {"source_port": int(ends[0][2]), "target_port": int(ends[1][2])}
            graph.add_edge(ends[0][0], ends[1][0], **ports, **timing)
        return graph  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        found = self.statistics
        links = "1 link" if found["links"] == 1 else f"{found['links']:,} links"
        devices = "1 device" if found["devices"] == 1 else f"{found['devices']:,} devices"
        return f"<taunet.Topology {self.name}: {devices}, {links}>"

    def _repr_html_(self) -> str:
        from . import _html

        return _html.topology(self)

    def __getstate__(self) -> object:
        raise ArgumentTypeError("a Topology is not pickled: pass topology.to_toml(), and read it with Topology.from_toml")


def _plain(value: object) -> object:
    """What JSON has no word for: numbers of NumPy, and the names of nodes that are objects."""
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def _generated(
    kind: str,
    parameters: Mapping[str, object],
    name: str | None,
    bandwidth: object,
    delay: object,
    access_bandwidth: object,
    access_delay: object,
    ptm: object,
) -> Topology:
    for key, value in parameters.items():
        numbers: Iterable[object] = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(number, bool) and key != "ends_only" for number in numbers):
            raise ArgumentTypeError(f"{key}: {value!r} is not a number")
    link = {
        "bandwidth": arguments.quantity("bandwidth", bandwidth, "10 Gbps"),
        "delay": arguments.quantity("delay", delay, "1 us"),
    }
    access = {
        "bandwidth": arguments.quantity("access_bandwidth", access_bandwidth, "10 Gbps"),
        "delay": arguments.quantity("access_delay", access_delay, "1 us"),
    }
    defaults: dict[str, object] = {"link": link, "access_link": access}
    if ptm is not None:
        if not isinstance(ptm, Mapping):
            raise ArgumentTypeError(f'ptm: {ptm!r} is not a dict such as {{"kind": "fifo", "buffer": "100 packets"}}')
        defaults["switch"] = {"ptm": ptm}
    content = {
        "name": kind if name is None else arguments.text("name", name),
        "generate": {"kind": kind, **parameters},
        "defaults": defaults,
    }
    return Topology.from_dict(content, name=kind)


def line(
    switches: int, *, hosts: int = 1, ends_only: bool = False, name: str | None = None, bandwidth: str = "10 Gbps",
    delay: str = "0 s", access_bandwidth: str | None = None, access_delay: str | None = None,
    ptm: Mapping[str, object] | None = None,
) -> Topology:
    """Switches in a row, with `hosts` hosts at each, or with `ends_only` at the first and the last.

    The other parameters are those of `fat_tree`.
    """
    parameters: dict[str, object] = {"switches": switches, "hosts": hosts}
    if ends_only:
        parameters["ends_only"] = True
    return _generated("line", parameters, name, bandwidth, delay, access_bandwidth, access_delay, ptm)


def ring(
    switches: int, *, hosts: int = 1, name: str | None = None, bandwidth: str = "10 Gbps", delay: str = "0 s",
    access_bandwidth: str | None = None, access_delay: str | None = None, ptm: Mapping[str, object] | None = None,
) -> Topology:
    """Switches in a ring, with `hosts` hosts at each. The other parameters are those of `fat_tree`."""
    parameters = {"switches": switches, "hosts": hosts}
    return _generated("ring", parameters, name, bandwidth, delay, access_bandwidth, access_delay, ptm)


def star(
    hosts: int, *, name: str | None = None, bandwidth: str = "10 Gbps", delay: str = "0 s",
    ptm: Mapping[str, object] | None = None,
) -> Topology:
    """Hosts around one switch, on links of `bandwidth` and `delay`. `ptm` is that of the switch's ports."""
    return _generated("star", {"hosts": hosts}, name, None, None, bandwidth, delay, ptm)


def dumbbell(
    left: int, right: int | None = None, *, name: str | None = None, bandwidth: str = "10 Gbps", delay: str = "0 s",
    access_bandwidth: str | None = None, access_delay: str | None = None, ptm: Mapping[str, object] | None = None,
) -> Topology:
    """`left` and `right` hosts (default: as many) on both sides of one link between two switches.

    The other parameters are those of `fat_tree`.
    """
    parameters = {"left": left, "right": left if right is None else right}
    return _generated("dumbbell", parameters, name, bandwidth, delay, access_bandwidth, access_delay, ptm)


def torus(
    dimensions: Iterable[int], *, hosts: int = 1, name: str | None = None, bandwidth: str = "10 Gbps",
    delay: str = "0 s", access_bandwidth: str | None = None, access_delay: str | None = None,
    ptm: Mapping[str, object] | None = None,
) -> Topology:
    """A grid of switches with wrap-around links: `torus([4, 4])` has two dimensions of 4 switches.

    The other parameters are those of `fat_tree`.
    """
    if isinstance(dimensions, str) or not isinstance(dimensions, Iterable):
        raise ArgumentTypeError(f"dimensions: {dimensions!r} is not a list such as [4, 4]")
    parameters = {"dimensions": list(dimensions), "hosts": hosts}
    return _generated("torus", parameters, name, bandwidth, delay, access_bandwidth, access_delay, ptm)


def fat_tree(
    k: int, *, name: str | None = None, bandwidth: str = "10 Gbps", delay: str = "0 s",
    access_bandwidth: str | None = None, access_delay: str | None = None, ptm: Mapping[str, object] | None = None,
) -> Topology:
    """A fat tree of switches with `k` ports each: `k**3 / 4` hosts, `5 * k**2 / 4` switches.

    Parameters
    ----------
    k
        The number of ports of a switch, and of pods: even.
    name
        The name of the topology. Default: the kind.
    bandwidth, delay
        Those of every link, as text with a unit.
    access_bandwidth, access_delay
        Those of the hosts' links, where they differ.
    ptm
        The traffic management of the switches' ports, with the keys of a topology file, such as
        `{"kind": "fifo", "buffer": "100 packets"}`. Default: an unlimited queue.

    Source: Al-Fares, Loukissas, Vahdat, "A scalable, commodity data center network architecture", SIGCOMM 2008.

    Examples
    --------
    >>> import taunet
    >>> taunet.fat_tree(k=4)
    <taunet.Topology fat-tree: 36 devices, 48 links>
    """
    return _generated("fat-tree", {"k": k}, name, bandwidth, delay, access_bandwidth, access_delay, ptm)


def leaf_spine(
    leaves: int, spines: int, *, hosts: int, name: str | None = None, bandwidth: str = "10 Gbps", delay: str = "0 s",
    access_bandwidth: str | None = None, access_delay: str | None = None, ptm: Mapping[str, object] | None = None,
) -> Topology:
    """Two layers of switches, each leaf joined to each spine, with `hosts` hosts at each leaf.

    The other parameters are those of `fat_tree`.
    """
    parameters = {"leaves": leaves, "spines": spines, "hosts": hosts}
    return _generated("leaf-spine", parameters, name, bandwidth, delay, access_bandwidth, access_delay, ptm)


def waxman(
    switches: int, *, alpha: float | None = None, beta: float | None = None, side: str | None = None,
    seed: int | None = None, hosts: int = 1, name: str | None = None, bandwidth: str = "10 Gbps",
    access_bandwidth: str | None = None, access_delay: str | None = None, ptm: Mapping[str, object] | None = None,
) -> Topology:
    """A random network in which nearby switches are joined more often (Waxman 1988).

    `alpha` allows longer links, `beta` gives more links; both are above 0 and at most 1. `side` is that of the square
    in which switches lie, such as "1000 km": delays of links follow from their lengths. The same `seed` gives the same
    network. The other parameters are those of `fat_tree`.
    """
    said = {"alpha": alpha, "beta": beta, "side": arguments.quantity("side", side, "1000 km"), "seed": arguments.seed(seed)}
    parameters = {"switches": switches, "hosts": hosts, **{key: it for key, it in said.items() if it is not None}}
    return _generated("waxman", parameters, name, bandwidth, None, access_bandwidth, access_delay, ptm)
