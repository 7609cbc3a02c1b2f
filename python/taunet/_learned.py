"""Learned PTMs: training, and evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import _arguments as arguments
from . import _html, _taunet, _toml
from ._arguments import Bar, Changes, PathLike, Progress
from ._errors import ArgumentTypeError, MissingPackageError


class TrainedModel:
    """A model that was trained: its files, and how close it is to its data.

    `path` is what a `ptm = { kind = "neural", model = ... }` names.
    """

    __slots__ = ("card", "path", "scores")

    path: Path
    """The file of its weights. The card (`.toml`) and the page (`.html`) are beside it."""
    card: dict[str, Any]
    """The card: seed, data, architecture, the loss of every epoch."""
    scores: list[dict[str, Any]]
    """A row per source of data, part of it, and output, as `evaluate` gives them."""

    def __init__(self, path: Path, card: dict[str, Any], scores: list[dict[str, Any]]):
        self.path, self.card, self.scores = path, card, scores

    def __repr__(self) -> str:
        training = self.card["training"]
        return f"<taunet.TrainedModel {self.path}: {training['parameters']:,} weights, {training['epochs_in_all']} epochs>"

    def _repr_html_(self) -> str:
        return _html.trained(self)


def train(
    file: PathLike | Mapping[str, object],
    out: PathLike,
    *,
    set: Changes | None = None,
    only: Iterable[str] = (),
    leave_out: str | None = None,
    device: str = "cpu",
    resume: bool = False,
    force: bool = False,
    progress: Progress = False,
) -> TrainedModel:
    """Trains a model of a device on captures, scenarios or tables, for `ptm = { kind = "neural" }`.

    Only in a taunet that was built with it: `pip install ./python -C build-args="--features train"`.

    Parameters
    ----------
    file
        The training file, or a dict with its keys. Paths in a dict are relative to the current folder.
    out
        The model to write: the file of its weights, such as "model.safetensors". Its card and its page have the same
        name with `.toml` and `.html`. Until the training ends, `.checkpoint` has the epochs so far.
    set
        Changes to the training file, such as `{"training.epochs": 10}`.
    only
        Names of the data to use. Default: all.
    leave_out
        The name of data to test on alone.
    device
        Where to train: "cpu" or "gpu".
    resume
        Whether an interrupted training continues from its checkpoint.
    force
        Whether earlier files are replaced.
    progress
        `True` for a bar.
    """
    if not _taunet.trains():
        raise MissingPackageError(
            "this taunet was built without training: build it with "
            "`pip install ./python -C build-args=\"--features train\"`; `taunet.evaluate` works without"
        )
    wanted = _wanted(file, set, only, leave_out)
    place = arguments.path("out", out)
    gpu = arguments.choice("device", device, "cpu", "gpu") == "gpu"
    with Bar(progress, "train") as bar:
        card, scores, warnings = _taunet.train(
            wanted, place, gpu=gpu, resume=bool(resume), force=bool(force), progress=bar.show
        )
    arguments.warn(warnings)
    return TrainedModel(place, json.loads(card), json.loads(scores))


def evaluate(
    file: PathLike | Mapping[str, object],
    model: PathLike,
    *,
    outputs: Iterable[str] = ("sample", "median", "mean"),
    set: Changes | None = None,
    only: Iterable[str] = (),
    progress: Progress = False,
) -> list[dict[str, Any]]:
    """How close a trained model is to the data of a training file.

    Parameters
    ----------
    file
        The training file, or a dict with its keys, which names the data.
    model
        The file of the model's weights.
    outputs
        The outputs of the model: "sample", "median", "mean".
    set, only
        As of `train`.
    progress
        `True` for a bar.

    Returns
    -------
    list
        A dict per source of data, part of it (train, validation, test) and output: `pearson` and `w1_normalized` of the
        delays, `mae_us`, `mean_us`, `lost`, `lost_simulated`, `packets`, `packets_per_s`.
    """
    wanted = _wanted(file, set, only, None)
    chosen = _names("outputs", outputs)
    for output in chosen:
        arguments.choice("outputs", output, "sample", "median", "mean")
    with Bar(progress, "evaluate") as bar:
        scores, warnings = _taunet.evaluate(wanted, arguments.path("model", model), chosen, progress=bar.show)
    arguments.warn(warnings)
    found: list[dict[str, Any]] = json.loads(scores)
    return found


def _wanted(
    file: PathLike | Mapping[str, object], set: Changes | None, only: Iterable[str], leave_out: str | None
) -> dict[str, Any]:
    return {
        "path": Path() if isinstance(file, Mapping) else arguments.path("file", file),
        "text": _toml.document(file, "training") if isinstance(file, Mapping) else None,
        "set": arguments.changes(set),
        "only": _names("only", only),
        "leave_out": None if leave_out is None else arguments.text("leave_out", leave_out),
    }


def _names(name: str, given: object) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ArgumentTypeError(f"{name}: {given!r} is not a list of texts")
    return [arguments.text(name, item) for item in given]
