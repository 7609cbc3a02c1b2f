"""The examples of docs/python.md: every fence of Python runs, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "python.md"


def test_the_examples_of_the_manual_run(captures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    matplotlib.use("Agg")
    for name, place in (("in.pcap", captures[0]), ("out.pcap", captures[1]), ("scenarios", ROOT / "scenarios"), ("topologies", ROOT / "topologies")):
        (tmp_path / name).symlink_to(place)
    monkeypatch.chdir(tmp_path)
    fences = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(fences) > 5
    names: dict[str, object] = {"__name__": "__main__"}
    for number, fence in enumerate(fences):
        exec(compile(fence, f"{PAGE.name}, fence {number}", "exec"), names)
