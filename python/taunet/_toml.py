"""Dicts as TOML, so that a network or a scenario in code is read as a file is, and its mistakes are told alike."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ._errors import ArgumentError, ArgumentTypeError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_DEEPEST = 64


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{value!r} is not a text of Unicode: it holds half of a surrogate pair") from None
    escaped = (
        _ESCAPED.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in value
    )
    return '"' + "".join(escaped) + '"'


def _key(key: object, place: str) -> str:
    if not isinstance(key, str):
        where = f"{place}: " if place else ""
        raise ArgumentTypeError(f"{where}the key {key!r} is not a text")
    return key if _BARE.fullmatch(key) else _text(key)


def value(item: object, place: str, depth: int = 0) -> str:
    """A value on one line. `place` is its place in messages, such as `traffic[0].load`."""
    if depth > _DEEPEST:
        raise ArgumentError(f"{place}: nested deeper than {_DEEPEST} levels")
    if isinstance(item, bool) or type(item).__name__ == "bool_":
        return "true" if item else "false"
    if isinstance(item, str):
        return _text(item)
    if isinstance(item, os.PathLike):
        return _text(os.fspath(item))
    if isinstance(item, Mapping):
        pairs = (
            f"{_key(key, place)} = {value(below, f'{place}.{key}', depth + 1)}"
            for key, below in item.items()
            if below is not None
        )
        inside = ", ".join(pairs)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(item, int) or hasattr(item, "__index__"):
        number = int(item.__index__())
        if not -(2**63) <= number < 2**63:
            raise ArgumentError(f"{place}: {number} is out of range: TOML has whole numbers of 64 bits")
        return str(number)
    if isinstance(item, float) or type(item).__name__ in ("float16", "float32"):
        return repr(float(item))  # type: ignore[arg-type]
    if hasattr(item, "tolist"):
        # An array of NumPy.
        item = item.tolist()
    if isinstance(item, Sequence) and not isinstance(item, (bytes, bytearray)):
        below = (value(it, f"{place}[{index}]", depth + 1) for index, it in enumerate(item))
        return "[" + ", ".join(below) + "]"
    kind = type(item).__name__
    raise ArgumentTypeError(
        f"{place}: a value of type {kind} has no place here: write a text, a number, True or False, a list or a dict"
    )


def document(content: Mapping[str, object], what: str = "") -> str:
    """A dict as a document: a line per key, a table per dict, and an array of tables per list of dicts.

    Keys whose value is `None` are left out, as if they were not there.
    """
    if not isinstance(content, Mapping):
        raise ArgumentTypeError(f"{what or 'the argument'}: {content!r} is not a dict")
    lines: list[str] = []
    _table(content, (), "", lines, 0)
    return "\n".join(lines).lstrip("\n") + "\n"


def _table(content: Mapping[str, object], path: tuple[str, ...], place: str, lines: list[str], depth: int) -> None:
    if depth > _DEEPEST:
        raise ArgumentError(f"{place}: nested deeper than {_DEEPEST} levels")
    later: list[tuple[str, str, object]] = []
    for key, item in content.items():
        if item is None:
            continue
        written = _key(key, place)
        inside = f"{place}.{key}" if place else key
        if isinstance(item, Mapping) or _is_tables(item):
            later.append((written, inside, item))
        else:
            lines.append(f"{written} = {value(item, inside)}")
    for written, inside, item in later:
        below = (*path, written)
        if isinstance(item, Mapping):
            lines.extend(("", f"[{'.'.join(below)}]"))
            _table(item, below, inside, lines, depth + 1)
        elif isinstance(item, Sequence):
            for index, table in enumerate(item):
                lines.extend(("", f"[[{'.'.join(below)}]]"))
                _table(table, below, f"{inside}[{index}]", lines, depth + 1)


def _is_tables(item: object) -> bool:
    if not isinstance(item, Sequence) or isinstance(item, (str, bytes, bytearray)):
        return False
    return len(item) > 0 and all(isinstance(it, Mapping) for it in item)
