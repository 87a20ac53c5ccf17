"""Reads a Parquet file that does not unpack to more than any memory. Never imports torch.

What it unpacks to is told by its footer (Thrift's compact protocol), which is read before anything is unpacked.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from src.data.text_file import most_unpacked
from src.errors import ConfigError

_MAGIC = b"PAR1"
_STRUCT, _LIST, _SET, _MAP, _BINARY = 12, 9, 10, 11, 8


def read_parquet(file: Path, see: Callable[[bytes], object] = len) -> pl.DataFrame:
    """The table in a Parquet file.

    Args:
        file: is read once.
        see: is given its bytes.

    Raises:
        ConfigError: for a file that is no Parquet, damaged, or unpacks to too much.
    """
    data = file.read_bytes()
    see(data)
    try:
        _check_size(unpacked_bytes(data), len(data), file)
        table = pl.read_parquet(data)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, _Damaged) as error:
        begins = data.startswith(_MAGIC)
        why = "damaged or cut off" if begins else "something else than its name says"
        remedy = "write the file again" if begins else "let its name end as its kind does, such as .csv for text"
        raise ConfigError("data.path must be a whole Parquet file", f"{file.name} is {why}", remedy) from error
    _check_size(sum(map(_text_bytes, table)), len(data), file)  # a text that repeats is stored once
    return table


def unpacked_bytes(data: bytes) -> int:
    """What a Parquet file unpacks to at least, by its footer: eight bytes for each value, or what its text takes.

    Raises:
        _Damaged: where there is no footer that can be read.
    """
    length = int.from_bytes(data[-8:-4], "little")
    if not data.endswith(_MAGIC) or length + 12 > len(data):
        raise _Damaged
    try:
        about = _Thrift(data[-8 - length : -8]).struct()
        # Numbers of fields: row_groups, columns, meta_data, num_values, total_uncompressed_size.
        chunks = [column[3] for group in about[4] for column in group[1]]
        return sum(max(8 * chunk[5], chunk[6]) for chunk in chunks)
    except (IndexError, KeyError, TypeError, RecursionError) as error:
        raise _Damaged from error


def _check_size(num_bytes: int, packed: int, file: Path) -> None:
    if num_bytes > (most := most_unpacked(packed)):
        law = f"data.path may not unpack to more than {most:,} bytes where it takes {packed:,}"
        raise ConfigError(law, f"{file.name}: {num_bytes:,}", "take rows or columns out, or write it as CSV, unpacked")


def _text_bytes(column: pl.Series) -> int:
    if column.dtype in (pl.Categorical, pl.Enum):
        return int(column.cat.len_bytes().cast(pl.Int64).sum())
    return int(column.str.len_bytes().cast(pl.Int64).sum()) if column.dtype == pl.String else 0


class _Damaged(Exception):
    """What stands where a footer should is none."""


class _Thrift:
    """Reads structs in Thrift's compact protocol: fields by their numbers.

    Args:
        data: what is read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def struct(self) -> dict[int, Any]:
        """The fields of the struct that begins here."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = head & 15 == 1 if head & 15 in (1, 2) else self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15) for _ in range(size)]
        if kind == _MAP:
            size = self._unsigned()
            kinds = self._byte() if size else 0
            return [(self._value(kinds >> 4), self._value(kinds & 15)) for _ in range(size)]
        if kind == _BINARY:
            return self._skip(self._unsigned())
        if kind in (1, 2, 3):
            return self._byte()
        return self._skip(8) if kind == 7 else self._signed()

    def _skip(self, size: int) -> None:
        self._place += size

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
