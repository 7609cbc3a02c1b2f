"""Learned PTMs: training where it is built, and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, CommandLine, content

import taunet
from taunet import _taunet, _toml

MODEL = ROOT / "models" / "htb-drr.safetensors"

trains = pytest.mark.skipif(not _taunet.trains(), reason="built without training")


@pytest.fixture
def training(tmp_path: Path) -> dict[str, Any]:
    """A training of seconds: Poisson traffic through a switch port."""
    (tmp_path / "net.toml").write_text(taunet.star(3, bandwidth="100 Mbps", delay="1 us").to_toml())
    (tmp_path / "small.toml").write_text(_toml.document(content(topology="net.toml")))
    return {
        "architecture": "residual",
        "seed": 1,
        "split": {"train": 0.6, "validation": 0.2},
        "training": {"epochs": 2, "hidden": 8, "recurrent": 4, "streams": 4, "steps": 8},
        "data": [{"name": "small", "scenario": tmp_path / "small.toml", "ports": ["s0:1"]}],
    }


def test_a_model_is_evaluated_as_the_command_line_does(
    training: dict[str, Any], command: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "training.toml").write_text(_toml.document(training))
    theirs = command.json("train", tmp_path / "training.toml", "--evaluate", MODEL, "--output", "median")
    assert theirs
    for file in (training, tmp_path / "training.toml"):
        ours = taunet.evaluate(file, MODEL, outputs=["median"])
        for row, other in zip(ours, theirs, strict=True):
            assert row.pop("packets_per_s") > 0
            assert row.items() <= other.items()


@trains
def test_a_model_is_trained_and_used(training: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    shown: list[float | None] = []
    model = taunet.train(training, out, progress=lambda fraction, words: shown.append(fraction))
    assert model.path == out and model.card["training"]["epochs_in_all"] == 2
    assert sorted(it.name for it in tmp_path.glob("model.*")) == ["model.html", "model.safetensors", "model.toml"]
    assert {row["part"] for row in model.scores} == {"train", "validation", "test"}
    assert "w1_normalized" in model._repr_html_()
    assert "2 epochs" in repr(model)
    again = taunet.evaluate(training, out)
    for row in again + model.scores:
        row.pop("packets_per_s")
    assert again == model.scores

    network = taunet.star(3, bandwidth="100 Mbps", delay="1 us", ptm={"kind": "neural", "model": str(out)})
    assert taunet.run(content(topology=network)).summary["packets"]["delivered"] == 500

    with pytest.raises(taunet.ArgumentError, match="exists"):
        taunet.train(training, out)
    weights = out.read_bytes()
    taunet.train(training, out, force=True)
    assert out.read_bytes() == weights, "the same data and seed"


@trains
def test_an_interrupted_training_is_resumed(training: dict[str, Any], tmp_path: Path) -> None:
    once = taunet.train(training, tmp_path / "once.safetensors").path.read_bytes()
    out = tmp_path / "twice.safetensors"

    def enough(fraction: float | None, words: str) -> None:
        if out.with_suffix(".checkpoint").exists():
            raise KeyboardInterrupt

    longer = {**training, "training": {**training["training"], "epochs": 500}}
    with pytest.raises(KeyboardInterrupt):
        taunet.train(longer, out, progress=enough)
    assert out.with_suffix(".checkpoint").exists() and not out.exists()
    model = taunet.train(training, out, resume=True)
    assert model.card["training"]["epochs_in_all"] >= 2
    if model.card["training"]["epochs_in_all"] == 2:
        assert out.read_bytes() == once


def test_wrong_trainings(training: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    if not _taunet.trains():
        with pytest.raises(taunet.MissingPackageError, match="--features train"):
            taunet.train(training, out)
    with pytest.raises(taunet.ConfigError, match="epochs"):
        taunet.evaluate({**training, "training": {"epochs": 0}}, MODEL)
    with pytest.raises(taunet.ConfigError, match="unknown"):
        taunet.evaluate({**training, "sed": 1}, MODEL)
    with pytest.raises(taunet.ArgumentError, match="other"):
        taunet.evaluate(training, MODEL, only=["other"])
    with pytest.raises(taunet.ArgumentError, match="outputs: 'modus' is none of"):
        taunet.evaluate(training, MODEL, outputs=["modus"])
    with pytest.raises(taunet.InputError, match="nothing.safetensors"):
        taunet.evaluate(training, tmp_path / "nothing.safetensors")
    assert not out.exists()
