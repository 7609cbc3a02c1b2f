"""The exceptions of taunet. All are subclasses of `TaunetError`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TaunetError(Exception):
    """Any error of taunet."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file or a text."""

    file: str
    """The file, or what the text is."""
    line: int | None
    """The line, from 1; `None` if the file as a whole is wrong."""
    column: int | None
    """The column, from 1, in characters."""
    message: str
    """What is wrong."""
    help: str | None
    """What to write instead, if that is known."""
    text: str | None = None
    """The line that is wrong."""
    length: int = 0
    """How many characters of the line are wrong."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line is not None else self.file
        said = f"{place}: {self.message}" + (f" ({self.help})" if self.help else "")
        if self.text is None or self.column is None or len(self.text) > 200:
            return said
        number = f"{self.line:>6}"
        mark = " " * (self.column - 1) + "^" * max(1, self.length)
        return f"{said}\n{number} | {self.text.expandtabs(1)}\n{' ' * len(number)} | {mark}"


class ConfigError(TaunetError, ValueError):
    """Mistakes in a topology, a scenario or a sweep: in a file, a text or a dict.

    The words are those of the command line. `mistakes` has all of them; the other attributes are those of the
    first.
    """

    mistakes: tuple[Mistake, ...]

    def __init__(self, mistakes: Sequence[Mistake | tuple[str, int | None, int | None, str, str | None, str | None, int]]):
        self.mistakes = tuple(it if isinstance(it, Mistake) else Mistake(*it) for it in mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Mistake, ...]]]:
        return type(self), (self.mistakes,)

    @property
    def file(self) -> str:
        """The file, or what the text is."""
        return self.mistakes[0].file

    @property
    def line(self) -> int | None:
        """The line, from 1; `None` if the file as a whole is wrong."""
        return self.mistakes[0].line

    @property
    def column(self) -> int | None:
        """The column, from 1, in characters."""
        return self.mistakes[0].column

    @property
    def message(self) -> str:
        """What is wrong, without its place."""
        return self.mistakes[0].message

    @property
    def help(self) -> str | None:
        """What to write instead, if that is known."""
        return self.mistakes[0].help


class ArgumentError(TaunetError, ValueError):
    """An argument of a function has a wrong value."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a function has a wrong type."""


class InputError(TaunetError, ValueError):
    """A capture, a run or another input cannot be used. The words are those of the command line."""


class RunError(TaunetError, RuntimeError):
    """A call failed for another reason than its input: a full disk, a missing permission."""


class MissingPackageError(TaunetError, ImportError):
    """A package that this function needs is not installed."""


class SweepError(RunError):
    """Jobs of a sweep failed. `failed` has their values, replications, seeds and reasons."""

    failed: tuple[tuple[str, int, int, str], ...]

    def __init__(self, message: str, failed: Sequence[tuple[str, int, int, str]] = ()):
        self.failed = tuple(failed)
        super().__init__(message)

    def __reduce__(self) -> tuple[type[SweepError], tuple[str, tuple[tuple[str, int, int, str], ...]]]:
        return type(self), (str(self), self.failed)


class FaultError(TaunetError, RuntimeError):
    """A fault of taunet, which should be reported."""


class TaunetWarning(UserWarning):
    """What is odd about an input or a result."""
