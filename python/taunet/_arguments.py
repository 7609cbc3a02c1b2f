"""Arguments of functions: paths, seeds, changes, captures, progress."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from . import _toml
from ._errors import ArgumentError, ArgumentTypeError, MissingPackageError, TaunetWarning

PathLike: TypeAlias = str | os.PathLike[str]
"""A path as text or as `pathlib.Path`."""
Changes: TypeAlias = Mapping[str, object] | Iterable[str]
"""Changes to a file: `{"traffic.0.load": 0.5}`, or texts as of `--set`: `["traffic.0.load=0.5"]`."""
Progress: TypeAlias = bool | Callable[[float | None, str], object]
"""`True` for a bar, or a function of the fraction that is done (`None` if unknown) and some words."""

_MOST = 2**64 - 1


def path(name: str, value: object) -> Path:
    """A path; an argument of another type is an error."""
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        if isinstance(text, str):
            if not text:
                raise ArgumentError(f"{name}: the path is empty")
            if "\0" in text:
                raise ArgumentError(f"{name}: a path holds no null character")
            return Path(text)
    raise ArgumentTypeError(f"{name}: {value!r} is not a path: write a text or a pathlib.Path")


def text(name: str, value: object) -> str:
    """A text; an argument of another type is an error."""
    if isinstance(value, str):
        return value
    raise ArgumentTypeError(f"{name}: {value!r} is not a text")


def quantity(name: str, value: object, example: str) -> str | None:
    """A quantity with its unit as text; a bare number is an error that says which unit fits."""
    if value is None or isinstance(value, str):
        return value
    raise ArgumentTypeError(f'{name}: {value!r} has no unit: write a text such as "{example}"')


def whole(name: str, value: object, least: int = 0, most: int = _MOST) -> int:
    """A whole number in a range."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{name}: {value!r} is not a whole number")
    number = int(value.__index__())
    if not least <= number <= most:
        raise ArgumentError(f"{name}: {number} is not a whole number from {least} to {most}")
    return number


def seed(value: object) -> int | None:
    """A seed, or none."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"seed: {value!r} is not a seed: a seed is a whole number from 0 to {_MOST}")
    number = int(value.__index__())
    if not 0 <= number <= _MOST:
        raise ArgumentError(f"seed: a seed is a whole number from 0 to {_MOST}")
    return number


def changes(value: Changes | None, until: object = None) -> list[str]:
    """Changes as texts `path.to.key=value`."""
    found: list[str] = []
    if isinstance(value, str):
        raise ArgumentTypeError(f"set: {value!r} is one text: write {{'path.to.key': value}} or a list of texts")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ArgumentTypeError(f"set: the key {key!r} is not a text")
            found.append(f"{key}={_toml.value(item, key)}")
    elif value is not None:
        try:
            items = list(value)
        except TypeError:
            raise ArgumentTypeError(f"set: {value!r} is neither a dict nor a list of texts") from None
        for item in items:
            if not isinstance(item, str):
                raise ArgumentTypeError(f'set: {item!r} is not a text such as "path.to.key=value"')
            found.append(item)
    until = quantity("until", until, "10 s")
    if until is not None:
        found.append(f"until={_toml.value(until, 'until')}")
    return found


def chosen(interface: object, direction: object) -> tuple[str | None, str | None]:
    """The interface and the direction of a capture."""
    if interface is not None and not isinstance(interface, str):
        interface = str(whole("interface", interface, most=2**32 - 1))
    if direction is not None:
        direction = text("direction", direction)
    return interface, direction


def choice(name: str, value: object, *allowed: str) -> str:
    """One of several words."""
    if isinstance(value, str) and value in allowed:
        return value
    listed = ", ".join(f'"{word}"' for word in allowed)
    error = ArgumentError if isinstance(value, str) else ArgumentTypeError
    raise error(f"{name}: {value!r} is none of {listed}")


def bounds(value: Mapping[str, object] | None) -> str:
    """Acceptance bounds as TOML."""
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f'accept: {value!r} is not a dict such as {{"pearson": 0.99, "mae": "1 ms"}}')
    return _toml.document(value)


def warn(texts: Iterable[str]) -> None:
    """Shows warnings at the line of the caller outside of this package."""
    level = 2
    frame = sys._getframe(1)
    here = os.path.dirname(__file__)
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == here:
        frame = frame.f_back
        level += 1
    for said in texts:
        warnings.warn(said, TaunetWarning, stacklevel=level)


def need(package: str, extra: str, what: str) -> Any:
    """A package that is not required, or an error that says how to install it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        message = f"{what} needs {package}: pip install 'taunet[{extra}]'"
        raise MissingPackageError(message) from error


class Bar:
    """The progress of a call: a bar of tqdm if it is installed, otherwise a line that is written again."""

    def __init__(self, progress: Progress, name: str):
        self._call = progress if callable(progress) else None
        self._is_on = bool(progress)
        self._name = name
        self._bar: Any = None
        self._began = time.monotonic()
        self._width = 0

    @property
    def show(self) -> Callable[[float | None, str], object] | None:
        """The function to call, if there is anything to show."""
        if not self._is_on:
            return None
        return self._call or self._show

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()

    def _show(self, fraction: float | None, words: str) -> None:
        if self._bar is None and self._width == 0:
            try:
                # The bar of a notebook in a notebook, and that of a terminal elsewhere.
                from tqdm.auto import tqdm
            except ImportError:
                pass
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._bar = tqdm(
                        total=1.0,
                        desc=self._name,
                        leave=False,
                        bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]",
                    )
        if self._bar is not None:
            if fraction is not None:
                self._bar.n = min(max(fraction, 0.0), 1.0)
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.refresh()
            return
        done = "" if fraction is None else f" {100 * fraction:3.0f} %"
        line = f"{self._name}:{done} {words}"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = max(self._width, len(line))
