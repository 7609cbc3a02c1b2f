"""What the tests share: the repository, the command line, captures, and a small scenario."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import taunet

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "scenarios" / "captures" / "kernel-tbf-70"


class CommandLine:
    """The program `taunet`."""

    def __init__(self, program: str):
        self.program = program

    def __call__(self, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        call = [self.program, *map(str, arguments)]
        return subprocess.run(call, capture_output=True, text=True, cwd=cwd, env={**os.environ, "NO_COLOR": "1"})

    def json(self, *arguments: object, cwd: Path | None = None) -> Any:
        """What it prints with `--json`."""
        done = self(*arguments, "--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def command() -> CommandLine:
    """The program that the environment variable TAUNET names."""
    program = os.environ.get("TAUNET")
    if not program:
        pytest.skip("TAUNET names no program to compare with")
    return CommandLine(program)


@pytest.fixture(scope="session")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two captures of one path, not compressed."""
    folder = tmp_path_factory.mktemp("captures")
    for name, source in (("in.pcap", "in1.pcap.xz"), ("out.pcap", "out.pcap.xz")):
        (folder / name).write_bytes(lzma.decompress((CAPTURES / source).read_bytes()))
    return folder / "in.pcap", folder / "out.pcap"


def content(**changes: object) -> dict[str, object]:
    """A scenario as a dict: Poisson traffic through a star."""
    return {
        "name": "small",
        "topology": taunet.star(3, bandwidth="100 Mbps", delay="1 us"),
        "traffic": [{"kind": "poisson", "from": "h0", "to": "h1", "rate": {"load": 0.7}, "size": "1000 B", "packets": 500}],
        **changes,
    }
