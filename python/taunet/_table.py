"""Tables: columns in memory, given to other packages as a stream of Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from . import _taunet
from ._arguments import need
from ._errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars
    import pyarrow

_SHOWN = 10


class Table:
    """A table of columns in memory.

    Every package that reads the Arrow C stream interface takes it as it is, without a copy:
    `polars.DataFrame(table)`, `pyarrow.table(table)`, `duckdb.sql("SELECT ... FROM table")`.

    The names of columns end with their units (`delay_ps`: picoseconds); `units` has them as well, and so has the
    field metadata of the Arrow schema, under the key `unit`.

    Examples
    --------
    >>> packets = scenario.run().packets            # doctest: +SKIP
    >>> packets.to_polars().group_by("fid").len()   # doctest: +SKIP
    """

    __slots__ = ("_native", "name")

    _native: _taunet.Table
    name: str
    """The name of the table, such as `packets`."""

    def __init__(self, native: _taunet.Table, name: str):
        self._native = native
        self.name = name

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as a stream of the Arrow C data interface; a requested schema is ignored, as it may be."""
        return self._native.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """The schema of the Arrow C data interface."""
        return self._native.__arrow_c_schema__()

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._native)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._native.columns

    @property
    def units(self) -> dict[str, str]:
        """The units of the columns that have one: `ps`, `B`, `bit/s`, ..."""
        return self._native.units

    @property
    def metadata(self) -> dict[str, str]:
        """Definitions that belong to the table as a whole, such as that of `ideal_ps`."""
        return self._native.metadata

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return len(self), len(self.columns)

    def head(self, rows: int = 5) -> Table:
        """The first rows, without a copy."""
        return self[:rows]

    def select(self, *columns: str) -> Table:
        """Some columns, without a copy."""
        for column in columns:
            self._check(column)
        return Table(self._native.select(list(columns)), self.name)

    def __getitem__(self, rows: slice) -> Table:
        """Some rows, without a copy: `table[:100]`."""
        if not isinstance(rows, slice):
            raise ArgumentTypeError(
                f"{rows!r} is not a range of rows: write table[:100], table.select({rows!r}) or table.to_numpy({rows!r})"
            )
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ArgumentError("rows are taken one after the other: write a range without a step")
        return Table(self._native.slice(start, max(0, stop - start)), self.name)

    def to_numpy(self, column: str) -> numpy.ndarray[Any, Any]:
        """A column as an array of NumPy. `[rows]`

        Whole numbers without missing values stay what they are. With missing values they are floats, and NaN
        where there is none; times are `NaT`. Texts are objects, and `None` where there is none.
        """
        self._check(column)
        np = need("numpy", "plot", "to_numpy")
        found = self._native.numbers(column)
        if found is None:
            values = self._native.texts(column)
            if all(isinstance(value, bool) for value in values):
                return np.array(values, dtype=bool)  # type: ignore[no-any-return]
            return np.array(values, dtype=object)  # type: ignore[no-any-return]
        content, kind, valid = found
        array = np.frombuffer(content, dtype=kind)
        if valid is None:
            return array  # type: ignore[no-any-return]
        is_missing = np.frombuffer(valid, dtype="u1") == 0
        array = array.copy() if array.dtype.kind in "Mf" else array.astype("f8")
        array[is_missing] = np.datetime64("NaT") if array.dtype.kind == "M" else np.nan
        return array  # type: ignore[no-any-return]

    def to_list(self, column: str) -> list[Any]:
        """A column as a list of Python's values; times are integers, in nanoseconds since 1970. `[rows]`"""
        import array

        self._check(column)
        found = self._native.numbers(column)
        if found is None:
            return self._native.texts(column)
        content, kind, valid = found
        codes = {"|u1": "B", "<u2": "H", "<u4": "I", "<u8": "Q", "|i1": "b", "<i2": "h", "<i4": "i", "<i8": "q"}
        codes |= {"<f4": "f", "<f8": "d", "<M8[ns]": "q"}
        values = array.array(codes[kind], content).tolist()
        if valid is None:
            return values
        return [value if is_there else None for value, is_there in zip(values, valid, strict=True)]

    def to_arrow(self) -> pyarrow.Table:
        """The table of pyarrow, without a copy, with the units in the metadata of the fields."""
        return need("pyarrow", "pandas", "to_arrow").table(self)

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """A frame of pandas. Options are those of `pyarrow.Table.to_pandas`; names become categories."""
        need("pandas", "pandas", "to_pandas")
        return self.to_arrow().to_pandas(**options)  # type: ignore[no-any-return]

    def to_polars(self) -> polars.DataFrame:
        """A frame of polars. Numbers are not copied; names become categories."""
        return need("polars", "polars", "to_polars").DataFrame(self)  # type: ignore[no-any-return]

    def _check(self, column: str) -> None:
        if not isinstance(column, str):
            raise ArgumentTypeError(f"{column!r} is not the name of a column")
        if column not in self.columns:
            import difflib

            near = difflib.get_close_matches(column, self.columns, 1)
            help = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(self.columns)}"
            raise ArgumentError(f"the table `{self.name}` has no column `{column}` ({help})")

    def __getstate__(self) -> object:
        raise ArgumentTypeError("a Table is not pickled: send table.to_arrow() or table.to_polars()")

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<taunet.Table {self.name}: {rows:,} rows x {columns} columns>"

    def _repr_html_(self) -> str:
        names = self.columns
        head = self.head(_SHOWN)
        values = [head.to_list(name) for name in names]
        units = self.units
        title = "".join(
            f"<th>{escape(name)}" + (f"<br><small>{escape(units[name])}</small>" if name in units else "") + "</th>"
            for name in names
        )
        rows = "".join(
            "<tr>" + "".join(f"<td>{_shown(cell)}</td>" for cell in row) + "</tr>"
            for row in zip(*values, strict=True)
        )
        left = len(self) - len(head)
        more = f"<p>and {left:,} more rows</p>" if left else ""
        return f"<table><thead><tr>{title}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _shown(cell: object) -> str:
    """A value in HTML; a float with six significant digits, or all those before the point."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 1e6 else f"{cell:.6g}"
    return escape(str(cell))


class Tables:
    """Tables by name: `tables["flows"]`, or `tables.flows`."""

    __slots__ = ("_tables",)

    _tables: dict[str, Table]

    def __init__(self, native: dict[str, _taunet.Table]):
        self._tables = {name: Table(table, name) for name, table in native.items()}

    def __getitem__(self, name: str) -> Table:
        try:
            return self._tables[name]
        except (KeyError, TypeError):
            there = ", ".join(self._tables)
            raise ArgumentError(f"there is no table {name!r}: there is {there}") from None

    def __getattr__(self, name: str) -> Table:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._tables[name]
        except KeyError:
            raise AttributeError(f"there is no table `{name}`: there is {', '.join(self._tables)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._tables]

    def __repr__(self) -> str:
        return f"<taunet.Tables: {', '.join(self._tables)}>"
