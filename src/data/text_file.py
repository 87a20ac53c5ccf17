"""The text in a file, in UTF-8 and with `\\n` at the end of each line, or a word on what the file is instead.

Read are UTF-8, and UTF-16 and UTF-32 that begin with their mark (Excel's "Unicode text"), packed with gzip or not: the
first bytes decide, not the name. Any other encoding could only be guessed, so it is refused.
"""

import codecs
import gzip
import shlex
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from src.errors import ConfigError

MAX_UNPACKED = 10**9
MAX_RATIO = 30

_ENCODINGS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_ENCODINGS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_GZIP = b"\x1f\x8b"
_EXPORT = "export it as CSV (UTF-8) from the program that wrote it"
_OTHERS = {
    b"PK\x03\x04": ("a ZIP archive or an Excel workbook", _EXPORT),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", _EXPORT),
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
    _GZIP: ("packed twice", "unpack it once with gunzip"),
    b"BZh": ("packed with bzip2", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("packed with xz", "unpack it with unxz"),
    b"(\xb5/\xfd": ("packed with zstd", "unpack it with unzstd"),
    b"\x89HDF": ("an HDF5 file", _EXPORT),
    b"ARROW1": ("an Arrow file", _EXPORT),
    b"SQLite": ("an SQLite database", _EXPORT),
    b"%PDF-": ("a PDF document", _EXPORT),
    b"$FL2": ("an SPSS file", _EXPORT),
    b"RDX": ("an R data file", "write.csv(…, row.names = FALSE) in R"),
    b"<stata_dta>": ("a Stata file", _EXPORT),
    b"{\\rtf": ("an RTF document", _EXPORT),
    b"version https://git-lfs": ("a pointer of Git LFS", "git lfs pull"),
    b"<!doctype": ("a web page", "download the table itself"),
    b"<html": ("a web page", "download the table itself"),
    b"<?xml": ("an XML document", _EXPORT),
    b'{"': ("JSON", _EXPORT),
    b"[{": ("JSON", _EXPORT),
    b"[[": ("JSON", _EXPORT),
}


def text_of(file: Path, see: Callable[[bytes], object] = len) -> bytes:
    """The text of a file in UTF-8, without a byte order mark; its lines end in `\\n`.

    A file whose lines all end in a lone carriage return is turned too; other lone ones are left where they are.

    Args:
        file: is read once.
        see: is given its bytes.

    Raises:
        ConfigError: for a file that is no text, in another encoding, damaged, or too large when unpacked.
    """
    data = file.read_bytes()
    see(data)
    if data.startswith(_GZIP):
        data = _unpacked(data, file)
    start = data[:64].lstrip().lower()
    for mark, (kind, remedy) in _OTHERS.items():
        if start.startswith(mark.lower()):
            raise unreadable(f"{file.name} is {kind}", remedy)
    data = _in_utf8(data, file)
    for sign, name in {b"\0": "a NUL byte", b"\x1a": "a Ctrl-Z"}.items():
        if (place := data.find(sign)) >= 0:
            got = f"{file.name}, {_line(data, place)}: {name}, as damaged or binary files have"
            raise unreadable(got, "write the file again")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def most_unpacked(num_bytes: int) -> int:
    """Bytes that a packed file of this size may hold: a few megabytes can unpack to more than any memory."""
    return max(MAX_UNPACKED, MAX_RATIO * num_bytes)


def unreadable(got: str, remedy: str) -> ConfigError:
    """The error for a text file that cannot be read, or not in one way only."""
    return ConfigError("data.path must be a whole text table in UTF-8", got, remedy)


def _unpacked(data: bytes, file: Path) -> bytes:
    most = most_unpacked(len(data))
    try:
        with gzip.open(BytesIO(data)) as packed:
            data = packed.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        cut = isinstance(error, EOFError)
        got = f"{file.name} is packed with gzip and {'cut off' if cut else 'damaged'}"
        raise unreadable(got, "copy or pack it again; gunzip -t tells whether it is whole") from error
    if len(data) > most:
        got = f"{file.name} unpacks to more than {most:,} bytes"
        raise unreadable(got, f"{filtered(file, 'head -c 1000')}   # to look at it; unpacked it has no limit")
    return data


def _in_utf8(data: bytes, file: Path) -> bytes:
    for mark, encoding in _ENCODINGS.items():
        if data.startswith(mark):
            try:
                data = data.decode(encoding).encode()
            except UnicodeError as error:
                got = f"{file.name} begins as {encoding.upper()} and goes on otherwise, or is cut off"
                raise unreadable(got, "save it as UTF-8") from error
    if b"\0" in data[:2]:
        raise unreadable(
            f"{file.name} looks like UTF-16 without its mark", filtered(file, "iconv -f UTF-16LE -t UTF-8")
        )
    while data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    data = data[:-1] if data.endswith(b"\x1a") else data  # the end of a text file under DOS
    if not data.isascii():
        _check_utf8(data, file)
    return data


def _check_utf8(data: bytes, file: Path) -> None:
    step = 1 << 22
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), step):
        before = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + step], final=start + step >= len(data))
        except UnicodeDecodeError as error:
            place = start - before + error.start
            got = f"{file.name}, {_line(data, place)}: the byte 0x{data[place]:02X} is not UTF-8"
            raise unreadable(got, filtered(file, "iconv -f WINDOWS-1252 -t UTF-8")) from error


def filtered(file: Path, command: str) -> str:
    """A command to type that writes what another makes of a file into a new one, where one stands."""
    place = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    new = shlex.quote(f"new_{file.name.removesuffix('.gz')}")
    unpack = "gunzip -c" if file.name.endswith(".gz") else "cat"
    return f"{unpack} {shlex.quote(str(place))} | {command} > {new}"


def _line(data: bytes, place: int) -> str:
    sign = b"\n" if b"\n" in data else b"\r"
    return f"line {data.count(sign, 0, place) + 1}"
