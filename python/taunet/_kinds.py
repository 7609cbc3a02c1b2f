"""Disciplines, models of ports and traffic sources that are written in Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar, overload

from . import _arguments as arguments
from . import _taunet
from ._errors import ArgumentError, ArgumentTypeError
from ._taunet import Flow, Packet

_T = TypeVar("_T", bound="type[Discipline] | type[BatchPtm] | type[Source]")


class Discipline(_taunet.Discipline):
    """A queueing discipline in Python: the base of a class with `arrive` and `next`.

    Each port gets an object of its own for each run. The keys beside `kind` are the arguments of the class.

    Examples
    --------
    >>> import taunet
    >>> from collections import deque
    >>> @taunet.register("short-queue")
    ... class ShortQueue(taunet.Discipline):
    ...     def __init__(self, limit):
    ...         self.limit, self.queue = limit, deque()
    ...     def arrive(self, packet, now_ps):
    ...         if len(self.queue) < self.limit:
    ...             self.queue.append(packet)
    ...         else:
    ...             self.drop(packet)
    ...     def next(self, now_ps):
    ...         return self.queue.popleft()
    >>> network = taunet.star(3, bandwidth="10 Mbps", ptm={"kind": "short-queue", "limit": 10})
    >>> cbr = {"kind": "cbr", "from": "h0", "to": "h1", "rate": "20 Mbps", "size": "1250 B", "packets": 50}
    >>> results = taunet.run({"name": "short", "topology": network, "traffic": [cbr]})
    >>> results.summary["packets"]["delivered"]
    50
    """

    port: str
    """The name of the port, such as "r1:0"."""
    rate_bps: int | None
    """The bandwidth of its link in bits per second; `None` if it is unlimited."""
    seed: int
    """A number for the random generator of this port: it follows from the seed of the run and the port's name."""

    def arrive(self, packet: Packet, now_ps: int) -> None:
        """A packet joins, at an instant in picoseconds. It waits from now on, unless `self.drop(packet)` drops it."""
        raise NotImplementedError(f"{type(self).__name__} has no method `arrive`")

    def next(self, now_ps: int) -> Packet | int | None:
        """The packet that is sent next: it no longer waits.

        It is called when the link is free and packets wait. A whole number instead of a packet is the instant, in
        picoseconds, when it is called again; a packet that arrives before that calls it too. `None` says that
        nothing waits any more, after drops.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `next`")


class BatchPtm:
    """A model of a port in Python, for many packets at a time: the base of a class with `waits`.

    `waits(features)` gets an array of float64, `[packets, features]`, with consecutive arrivals at the port, and
    returns how long each waits from its arrival until its first bit is sent, in picoseconds. `features` names the
    columns:

    - `arrival_ps`, `gap_ps`: the instant of the arrival, and the time since the one before,
    - `service_ps`: how long the link sends the packet,
    - `fifo_wait_ps`: how long it would wait in a `fifo`, of the same arrivals,
    - `length`, `fid`, `dscp`, `ecn`, `protocol`, and `in_port` (-1 without one).

    Packets stay in order, and the link sends one at a time: a packet that would be sent before the one in front has
    left is sent when it has. Nothing is dropped.
    """

    features: ClassVar[tuple[str, ...]] = ("gap_ps", "service_ps", "fifo_wait_ps")
    """The columns, in their order."""
    port: str
    """The name of the port, such as "r1:0"."""
    rate_bps: int | None
    """The bandwidth of its link in bits per second; `None` if it is unlimited."""
    seed: int
    """A number for the random generator of this port: it follows from the seed of the run and the port's name."""

    def waits(self, features: Any) -> Any:
        """The waiting times in picoseconds, `[packets]`: an array, a tensor of PyTorch, or a list.

        A batch is as many packets as the engine has at once: one on the event engine. A row may depend on those
        before it, by what the object keeps, so that results do not depend on the batches.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `waits`")


class Emission(NamedTuple):
    """A packet of a `Source`. A tuple of its first three values, or more, does as well."""

    at_ps: int
    """The instant in picoseconds."""
    length: int
    """Bytes on the wire."""
    flow: str
    """The flow, such as "10.0.0.1:5000 > 10.0.0.2:9 UDP"; `Source.flow_to` makes it."""
    dscp: int = 0
    """The differentiated services code point."""
    ecn: int = 0
    """The field of explicit congestion notification."""
    ttl: int = 64
    """The time to live."""


class Source:
    """A traffic source in Python: the base of a class whose `__iter__` yields packets in the order of time.

    The keys of its `[[traffic]]` beside `kind`, `name`, `from` and `at` are the arguments of the class.
    """

    name: str
    """The name of the entry, or its number."""
    address: str | None
    """The address of the sending host; `None` with `at` instead of `from`."""
    addresses: Mapping[str, str]
    """Addresses of all hosts, by their names."""
    seed: int
    """A number for the random generator of this source: it follows from the seed of the run and the entry's name."""

    def __iter__(self) -> Iterator[Emission | tuple[Any, ...]]:
        """Its packets: `Emission`, or tuples of the instant in picoseconds, the length in bytes, and the flow."""
        raise NotImplementedError(f"{type(self).__name__} has no method `__iter__`")

    def flow_to(self, host: str, *, source_port: int = 49152, destination_port: int = 9, protocol: str = "UDP") -> str:
        """A flow from the sending host to another."""
        if self.address is None:
            raise ArgumentError("its packets have no sending host: write `from` instead of `at`")
        if host not in self.addresses:
            raise ArgumentError(f"host: there is no host {host!r} with an address in the topology")
        ends = (self.address, source_port), (self.addresses[host], destination_port)
        source, destination = (f"[{at}]:{port}" if ":" in at else f"{at}:{port}" for at, port in ends)
        return f"{source} > {destination} {protocol}"


@overload
def register(kind: str) -> Callable[[_T], _T]: ...
@overload
def register(kind: str, cls: _T) -> _T: ...
def register(kind: str, cls: Any = None) -> Any:
    """Gives a class a name, for every topology and scenario that is read afterwards: also as a decorator.

    A `Discipline` or a `BatchPtm` is then a `ptm = { kind = "my-queue", limit = 10 }`, and a `Source` is a
    `[[traffic]]` with its kind. A class with the name of an earlier one, or of a kind of taunet, replaces it.
    """
    kind = arguments.text("kind", kind)
    if not kind:
        raise ArgumentError("kind: the name is empty")
    if cls is None:
        return lambda given: register(kind, given)
    if not inspect.isclass(cls):
        raise ArgumentTypeError(f"cls: {cls!r} is not a class")
    for role, base, needed in _ROLES:
        if issubclass(cls, base):
            for name in needed:
                if getattr(cls, name) is getattr(base, name):
                    raise ArgumentTypeError(f"cls: {cls.__name__} has no method `{name}`")
            if issubclass(cls, BatchPtm):
                _check_features(cls.features)
            _taunet.register(kind, role, cls)
            return cls
    raise ArgumentTypeError(f"cls: {cls.__name__} is a subclass of none of taunet.Discipline, taunet.BatchPtm, taunet.Source")


_ROLES: tuple[tuple[str, type, tuple[str, ...]], ...] = (
    ("discipline", Discipline, ("arrive", "next")),
    ("batch", BatchPtm, ("waits",)),
    ("source", Source, ("__iter__",)),
)


def _check_features(features: object) -> None:
    known = _taunet.features()
    if isinstance(features, str) or not isinstance(features, Iterable):
        raise ArgumentTypeError(f"features: {features!r} is not a tuple of names")
    names = list(features)
    if not names:
        raise ArgumentError("features: there are none")
    for name in names:
        if name not in known:
            raise ArgumentError(f"features: {name!r} is none of {', '.join(known)}")


# What the extension module calls.


def wrong_keys(kind: str, cls: type, keys: dict[str, object]) -> str | None:
    """What is wrong with the keys of a table, if anything is."""
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        parameters: dict[str, inspect.Parameter] = {}
    else:
        found = list(inspect.signature(cls.__init__).parameters.items())[1:]  # type: ignore[misc]
        parameters = dict(found)
    named = [it for it in parameters.values() if it.kind in (it.POSITIONAL_OR_KEYWORD, it.KEYWORD_ONLY)]
    names = [it.name for it in named]
    takes_any = any(it.kind is it.VAR_KEYWORD for it in parameters.values())
    for key in keys:
        if key not in names and not takes_any:
            allowed = f"allowed: {', '.join(f'`{name}`' for name in names)}" if names else "it has no keys"
            return f"unknown key `{key}` in `{kind}` ({allowed})"
    for it in named:
        if it.default is it.empty and it.name not in keys:
            return f"missing key `{it.name}` in `{kind}`"
    return None


def make(cls: Any, keys: dict[str, object], place: dict[str, Any]) -> object:
    """A new object of a class, whose attributes say where it is."""
    import hashlib

    made = cls.__new__(cls)
    for name, item in place.items():
        if name == "seed":
            digest = hashlib.sha256(" ".join(map(str, item)).encode()).digest()
            item = int.from_bytes(digest[:8], "little")
        setattr(made, name, item)
    made.__init__(**keys)
    return made


_LONGEST_PS = float(2**63)


def waits(model: BatchPtm, data: bytearray, count: int) -> bytes:
    """The waiting times of a model, checked."""
    numpy = arguments.need("numpy", "numpy", "a BatchPtm")
    features = numpy.frombuffer(data, dtype=numpy.float64).reshape(count, -1)
    given = model.waits(features)
    if hasattr(given, "detach"):
        # A tensor of PyTorch.
        given = given.detach().cpu()
    if given is None:
        raise TypeError("it returned None: return an array with the waiting time of each packet")
    try:
        found = numpy.asarray(given, dtype=numpy.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"it returned a {type(given).__name__}, which is no array of numbers: {error}") from error
    if found.shape == (count, 1):
        found = found[:, 0]
    if found.shape != (count,):
        raise ValueError(f"it returned an array of the shape {found.shape} for {count} packets: return one of ({count},)")
    wrong = ~((found >= 0) & (found < _LONGEST_PS))
    if wrong.any():
        row = int(wrong.argmax())
        said = "is no waiting time" if not found[row] >= 0 else "is longer than a run can last"
        raise ValueError(f"packet {row} of {count} waits {found[row]} ps, which {said}: it had the features {_row(model, features[row])}")
    return found.tobytes()  # type: ignore[no-any-return]


def _row(model: BatchPtm, row: Any) -> str:
    return ", ".join(f"{name} {value:.15g}" for name, value in zip(model.features, row, strict=True))


__all__ = ["BatchPtm", "Discipline", "Emission", "Flow", "Packet", "Source", "register"]
