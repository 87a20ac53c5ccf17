"""Cells of CSV files that a spreadsheet would take for formulas, or a terminal for commands. Never imports torch."""

from typing import TYPE_CHECKING

from src.metric_names import free_name
from src.secrecy import UNSEEN

if TYPE_CHECKING:
    import polars as pl

_UNSEEN = "[" + "".join(map(chr, UNSEEN)) + "]"
_FORMULA = r"(^|[;\t\n])(\s*[=+\-@＝＋－＠])|^([\t\n])"


def csv_of(table: "pl.DataFrame") -> str:
    """A table as CSV of which no cell is a formula to a spreadsheet: an apostrophe before it makes it text."""
    import polars as pl

    def safe(text: pl.Expr) -> pl.Expr:
        told = text.str.replace_all(_UNSEEN, "�").str.replace_all(_FORMULA, "$1'$2$3")
        return pl.when(text.cast(pl.Float64, strict=False).is_not_null()).then(text).otherwise(told)

    told = pl.select(safe(pl.lit(pl.Series(table.columns, dtype=pl.String)))).to_series()
    names: dict[str, str] = {}
    for name, harmless in zip(table.columns, told, strict=True):
        names[name] = name if name == harmless else free_name(harmless, {*table.columns, *names.values()})
    return table.with_columns(safe(pl.col(pl.String))).rename(names).write_csv()
