"""taunet: a discrete-event network simulator that is checked against recorded captures.

>>> import taunet
>>> results = taunet.run({
...     "name": "first",
...     "topology": taunet.dumbbell(2, bandwidth="50 Mbps", delay="10 ms"),
...     "until": "1 s",
...     "transport": {"kind": "tcp"},
...     "traffic": [{"kind": "bulk", "from": "h0", "to": "h2"}],
... })
>>> results.summary["packets"]["injected"] > 0
True

Networks: `Topology`, and the generators `line`, `ring`, `star`, `dumbbell`, `torus`, `fat_tree`, `leaf_spine`, `waxman`.
Runs: `Scenario`, `run`, `Results`. Captures: `read_pcap`, `compare`, `calibrate`. Many runs: `sweep`.
Learned PTMs: `train`, `evaluate`. In Python: `Discipline`, `BatchPtm`, `Source`, `register`.
Plots are in `taunet.plot`, which needs matplotlib. Times are exact: integers in picoseconds (`_ps`).
"""

from ._captures import Calibration, Comparison, calibrate, compare, read_pcap
from ._errors import (
    ArgumentError,
    ArgumentTypeError,
    ConfigError,
    FaultError,
    InputError,
    MissingPackageError,
    Mistake,
    RunError,
    SweepError,
    TaunetError,
    TaunetWarning,
)
from ._kinds import BatchPtm, Discipline, Emission, Flow, Packet, Source, register
from ._learned import TrainedModel, evaluate, train
from ._scenario import Results, Scenario, run
from ._sweep import SweepResults, sweep
from ._table import Table, Tables
from ._taunet import __version__
from ._topology import Topology, dumbbell, fat_tree, leaf_spine, line, ring, star, torus, waxman

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BatchPtm",
    "Calibration",
    "Comparison",
    "ConfigError",
    "Discipline",
    "Emission",
    "FaultError",
    "Flow",
    "InputError",
    "MissingPackageError",
    "Mistake",
    "Packet",
    "Results",
    "RunError",
    "Scenario",
    "Source",
    "SweepError",
    "SweepResults",
    "Table",
    "Tables",
    "TaunetError",
    "TaunetWarning",
    "Topology",
    "TrainedModel",
    "__version__",
    "calibrate",
    "compare",
    "dumbbell",
    "evaluate",
    "fat_tree",
    "leaf_spine",
    "line",
    "read_pcap",
    "register",
    "ring",
    "run",
    "star",
    "sweep",
    "torus",
    "train",
    "waxman",
]

# They are known by the name that users write.
for _name in __all__:
    _thing = globals()[_name]
    if callable(_thing) and _thing.__module__ != "taunet":
        _thing.__module__ = "taunet"
del _name, _thing
