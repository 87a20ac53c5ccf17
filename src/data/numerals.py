"""How a column of text writes its numbers, and reading them; `marks.py` finds out how. Never imports torch."""

from functools import cache
from typing import TypedDict, final

import polars as pl

THOUSANDS = {",": ",", ".": r"\.", "'": "['’]", " ": r"[ \u00a0\u2007\u2009\u202f]", "_": "_"}
"""The marks between thousands, and what is taken for each."""
SIGN = r"(%|‰|\p{Sc}|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD|kr|zł|Kč)"
MISSING = (
    *("", "NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT"),
    *("NULL", "Null", "null", "(null)", r"\N", "None", "none", "NONE", "?", ".", "-", "--", "–", "—"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"),
)
"""Cells that stand for no value."""
_EXPONENT = "(?:[eE][-+]?[0-9]+)?"
_WORDS = ["true", "false", "1", "0", "1.0", "0.0"]


@final
class Style(TypedDict):
    """How a column writes its numbers, in plain Python: a checkpoint keeps it for later files."""

    decimal: str
    """Empty where nothing told it, and the column holds whole numbers."""
    thousands: str
    sign: str
    """In every cell: `%` or a currency; the number is taken as it is written, 12 % is 12."""
    words: bool
    """It holds true and false, which are 1 and 0."""


PLAIN: Style = {"decimal": ".", "thousands": "", "sign": "", "words": False}


def stripped(column: pl.Series) -> pl.Series:
    """Text without spaces around it, null where it stands for no value."""
    text = column.str.strip_chars()
    is_missing = text.is_in(MISSING)
    return text.set(is_missing, None) if is_missing.any() else text


def numbers_of(column: pl.Series, style: Style) -> pl.Series:
    """A column as Float64, null where it does not read as a number of this style."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False).fill_nan(None)
    if style["words"]:
        return column.str.to_lowercase().replace_strict(_WORDS, [1.0, 0.0] * 3, default=None, return_dtype=pl.Float64)
    cheap = cast_numbers(column, style)
    left = cheap.is_null() & column.is_not_null()
    if left.any():  # only what the cast does not take is looked at closely
        return cheap.scatter(left.arg_true(), _closely(column.filter(left), style))
    return cheap


def told(style: Style) -> str:
    """A style that is not plain, as the end of a law."""
    parts = ["only true and false, or 1 and 0"] if style["words"] else []
    parts += ["with a decimal comma"] if style["decimal"] == "," else []
    parts += [f"with {style['thousands']!r} between thousands"] if style["thousands"] else []
    parts += [f"with {style['sign']} in each cell"] if style["sign"] else []
    return f", as at training: {', '.join(parts)}" if parts else ""


def has_words(column: pl.Series) -> bool:
    """Whether a text holds true or false, and nothing but what goes with them."""
    if column.dtype != pl.String:
        return False
    text = column.drop_nulls().str.to_lowercase()
    return bool(text.is_in(_WORDS[:2]).any() and text.is_in(_WORDS).all())


def cast_numbers(column: pl.Series, style: Style) -> pl.Series:
    """What Polars itself takes for a number, with this decimal mark."""
    if style["sign"]:
        return pl.repeat(None, len(column), dtype=pl.Float64, eager=True).alias(column.name)
    if style["decimal"] == ",":
        column = column.str.replace_all(".", "?", literal=True).str.replace(",", ".", literal=True)
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _closely(cells: pl.Series, style: Style) -> pl.Series:
    """Cells with marks between thousands, a sign, a typeset minus, a minus behind, or parentheses for minus."""
    sign, mark = style["sign"], style["thousands"]
    decimal = style["decimal"] or "."
    text = cells.set(~cells.str.contains(sign, literal=True), "").str.replace(sign, "", literal=True)
    text = text.str.replace_all("[−–]", "-").str.replace_all(r"^\s+|\s+$", "")
    text = text.str.replace(r"^\((.*)\)$", "-$1").str.replace(r"^([^-]*)-$", "-$1")
    text = text.str.replace(r"^([-+])\s+", "$1").str.strip_chars()
    text = text.set(~text.str.contains(pattern(decimal, mark)), None)
    if mark:
        text = text.str.replace_all(THOUSANDS[mark], "")
    return text.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)


@cache
def pattern(decimal: str, mark: str) -> str:
    """A number with marks between thousands, or without; in India every two digits have one above a thousand."""
    thousand = THOUSANDS.get(mark, "")
    grouped = rf"[1-9][0-9]{{0,2}}(?:{thousand}[0-9]{{3}})+" if mark else "[0-9]+"
    indian = r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}" if mark == "," else ""
    point = THOUSANDS[decimal]
    return rf"^[-+]?(?:(?:[0-9]+|{grouped}{indian})(?:{point}[0-9]+)?|{point}[0-9]+){_EXPONENT}$"
