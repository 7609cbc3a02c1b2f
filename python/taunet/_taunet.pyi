"""The extension module: private, used by the package alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

__all__ = [
    "Calibration",
    "Scenario",
    "Sweep",
    "Table",
    "Topology",
    "__version__",
    "calibrate",
    "compare_captures",
    "compare_run",
    "compare_runs",
    "fault",
    "read_pcap",
]

__version__: Final[str]

_Progress = Callable[[float | None, str], object]
_Chosen = tuple[str | None, str | None]
_Failed = tuple[str, int, int, str]

@final
class Table:
    @property
    def columns(self) -> list[str]: ...
    @property
    def units(self) -> dict[str, str]: ...
    @property
    def metadata(self) -> dict[str, str]: ...
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def slice(self, offset: int, length: int) -> Table: ...
    def select(self, names: list[str]) -> Table: ...
    def numbers(self, name: str) -> tuple[bytes, str, bytes | None] | None: ...
    def texts(self, name: str) -> list[Any]: ...

@final
class Topology:
    @staticmethod
    def load(path: Path, set: list[str]) -> Topology: ...
    @staticmethod
    def from_text(text: str, name: str, set: list[str]) -> Topology: ...
    @staticmethod
    def import_network(name: str, bytes: bytes, format: str | None, options: list[tuple[str, str]]) -> Topology: ...
    @property
    def name(self) -> str: ...
    @property
    def toml(self) -> str: ...
    @property
    def remarks(self) -> list[str]: ...
    def statistics(self) -> str: ...
    def parts(self) -> str: ...
    def export(self, format: str, link_labels: bool = False) -> str: ...

@final
class Scenario:
    @staticmethod
    def load(path: Path, set: list[str], seed: int | None = None, topology: Topology | None = None) -> Scenario: ...
    @staticmethod
    def from_text(
        text: str, name: str, path: Path, set: list[str], seed: int | None = None, topology: Topology | None = None
    ) -> Scenario: ...
    def changed(self, set: list[str], seed: int | None = None) -> Scenario: ...
    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def toml(self) -> str: ...
    @property
    def set(self) -> list[str]: ...
    def topology(self) -> Topology: ...
    @property
    def until_ps(self) -> int | None: ...
    @property
    def inputs(self) -> list[Path]: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def records_captures(self) -> bool: ...
    def run(
        self,
        *,
        out: Path | None,
        replace: bool,
        format: str,
        engine: str | None,
        threads: int,
        lenient: bool,
        reorder_window: str | None,
        progress: _Progress | None,
    ) -> tuple[str, dict[str, Table]]: ...

@final
class Calibration:
    def json(self) -> str: ...
    def words(self) -> tuple[str, str]: ...
    def write(self, out: Path, replace: bool) -> Path: ...

@final
class Sweep:
    @staticmethod
    def load(path: Path, set: list[str]) -> Sweep: ...
    @property
    def name(self) -> str: ...
    @property
    def replications(self) -> int: ...
    @property
    def stops(self) -> bool: ...
    def __len__(self) -> int: ...
    def execute(self, directory: Path, threads: int, progress: _Progress | None) -> list[_Failed]: ...
    def missing(self, directory: Path, replication: int | None = None) -> list[tuple[int, int]]: ...
    def run_job(self, directory: Path, point: int, replication: int) -> _Failed | None: ...
    def results(
        self, directory: Path, format: str, failed: int
    ) -> tuple[int, int, dict[str, Table], list[str]]: ...

def read_pcap(
    path: Path,
    *,
    max_packets: int | None,
    chosen: _Chosen,
    lenient: bool,
    reorder_window: str | None,
    progress: _Progress | None,
) -> tuple[Table, list[str]]: ...
def compare_captures(
    first: Path,
    second: Path,
    *,
    chosen: tuple[_Chosen, _Chosen],
    lenient: bool,
    reorder_window: str | None,
    nat: bool,
    max_delay: str | None,
    min_delay: str | None,
    clock: str,
    accept: str,
    progress: _Progress | None,
) -> tuple[str, dict[str, Table]]: ...
def compare_runs(
    first: Path | Table, second: Path | Table, *, accept: str, progress: _Progress | None
) -> tuple[str, Table]: ...
def compare_run(
    run: Path,
    capture: Path,
    *,
    at: str,
    hop: bool,
    tolerance: str | None,
    chosen: _Chosen,
    lenient: bool,
    reorder_window: str | None,
    clock: str,
    accept: str,
    progress: _Progress | None,
) -> str: ...
def calibrate(
    ingress: list[Path],
    egress: Path,
    *,
    ingress_chosen: list[_Chosen],
    egress_chosen: _Chosen,
    lenient: bool,
    reorder_window: str | None,
    progress: _Progress | None,
) -> Calibration: ...
def fault() -> None: ...
