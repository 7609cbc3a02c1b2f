"""The notebooks: they run, and what they show is what is stored in them.

    UPDATE_NOTEBOOKS=1 pytest tests/test_notebooks.py

stores the new outputs.
"""

# nbformat has types for a part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import PIL.Image
import pytest
from conftest import ROOT
from nbclient import NotebookClient

import taunet

NOTEBOOKS = ROOT / "notebooks"
NAMES = ["calibrate-a-device", "from-capture-to-forward-trace", "sweep-with-plots"]
MOST_BYTES = 60 * 1024


def executed(path: Path) -> Any:
    """The notebook, run in its folder from the first cell to the last."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False, resources=place).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "image/png" in output.get("data", {}):
            output["data"]["image/png"] = small(output["data"]["image/png"])
    return notebook


def small(picture: str) -> str:
    """The picture with a palette of 64 colours: a quarter of the size, and a plot looks the same."""
    found = io.BytesIO()
    PIL.Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").quantize(64).save(found, "png", optimize=True)
    return base64.b64encode(found.getvalue()).decode()


def shown(notebook: Any) -> list[tuple[int | None, list[tuple[str, str]]]]:
    """The outputs of every cell: texts as they are, numbers as 0 in a cell with the tag `times`, pictures by name."""
    cells = []
    for cell in notebook.cells:
        outputs: list[tuple[str, str]] = []
        for output in cell.get("outputs", []):
            outputs += [(output["name"], output["text"])] if output["output_type"] == "stream" else []
            outputs += [(kind, "" if kind.startswith("image/") else text) for kind, text in output.get("data", {}).items()]
        if "times" in cell.metadata.get("tags", []):
            outputs = [(kind, re.sub(r"\d+", "0", text)) for kind, text in outputs]
        cells.append((cell.get("execution_count"), sorted(outputs)))
    return cells


def said(notebook: Any) -> str:
    """All that the notebook prints."""
    return "".join(text for _, outputs in shown(notebook) for kind, text in outputs if kind in ("stdout", "text/plain"))


def test_every_notebook_is_tested() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES
    readme = (NOTEBOOKS / "README.md").read_text()
    manual = (ROOT / "docs" / "python.md").read_text()
    assert all(f"({name}.ipynb)" in readme and f"(../notebooks/{name}.ipynb)" in manual for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_outputs_are_those_of_a_run(name: str) -> None:
    path = NOTEBOOKS / f"{name}.ipynb"
    stored, new = nbformat.read(path, as_version=4), executed(path)
    if os.environ.get("UPDATE_NOTEBOOKS") == "1":
        nbformat.write(new, path)
    else:
        assert shown(new) == shown(stored)
    assert not [text for _, outputs in shown(new) for kind, text in outputs if kind == "stderr"], "a warning"
    assert any(kind == "image/png" for _, outputs in shown(new) for kind, _ in outputs)
    nbformat.validate(new)
    assert path.stat().st_size <= MOST_BYTES
    assert str(ROOT) not in path.read_text() and str(Path.home()) not in path.read_text(), "a path of one machine"


def test_the_figures_of_the_traces() -> None:
    (measured,) = taunet.run(ROOT / "scenarios" / "kernel-tbf-70.toml").summary["measured"]
    stored = nbformat.read(NOTEBOOKS / "from-capture-to-forward-trace.ipynb", as_version=4)
    # By forward_trace over arrays, and by the scenario.
    assert said(stored).count(f"w1_normalized {measured['w1_normalized']:.6f}") == 2
    (times,) = (cell for cell in stored.cells if "times" in cell.metadata.get("tags", []))
    factor = re.search(r": (\d+) times faster", times.outputs[0]["text"])
    assert factor and int(factor[1]) > 20


def test_the_figures_of_the_calibration() -> None:
    captures = [ROOT / "scenarios" / "captures" / "kernel-tbf-70" / name for name in ("in1.pcap.xz", "out.pcap.xz")]
    summary = taunet.calibrate(*captures).summary
    stored = said(nbformat.read(NOTEBOOKS / "calibrate-a-device.ipynb", as_version=4))
    assert f"w1_normalized {summary['in_sample']['w1_normalized']:.4f}, pearson {summary['in_sample']['pearson']:.5f}" in stored
    assert re.search(rf"calibrated +{summary['held_out']['w1_normalized']:.4f}", stored)
