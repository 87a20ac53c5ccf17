"""Claims about text that a terminal or a spreadsheet would take for a command."""

import csv
import io
import logging
import re

import numpy as np
import polars as pl
import pytest

from src import scoring
from src.cells import csv_of
from src.errors import ConfigError
from src.report.page import for_script
from src.scoring import Scored
from src.secrecy import Hidden
from src.tracking import run_name

FORMULAS = ["=1+1", "+A1", "-A1+2", "@SUM(A1)", "\t=1", "\rx", "\n=1", " =1", "＝1", "x;=1+1", '=HYPERLINK("a","b")']
NUMBERS = ["-1", "+1", "-1.5e-3", "-inf", "0"]
CODES = ["\x1b[31mred", "\x9b31m", "\u202egnp.exe", "a\x00b", "a\x07", "\u2066x", "\x1b]0;title\x07"]
RAW = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"


def test_no_cell_of_a_table_is_a_formula() -> None:
    table = pl.DataFrame({"text": FORMULAS, "=name": FORMULAS, "'=name": 0.5})
    read = list(csv.reader(io.StringIO(csv_of(table))))
    for cell in (cell for row in read for cell in row):
        assert not re.match(r"\s*[=+\-@＝]|[\t\r\n]", cell), cell
        assert cell.startswith("'") or not re.search(r"[;\t\n]\s*[=+\-@]", cell), cell
    assert read[0] == ["text", "'=name_", "'=name"], "names are as different as they were"


def test_what_is_no_formula_stays_as_it_is() -> None:
    table = pl.DataFrame({"text": [*NUMBERS, "lr=0.1", "a-b", None, "tab\tin", "Zürich ✓", "两"], "n": [-1.5] * 11})
    assert csv_of(table) == table.write_csv()


@pytest.mark.parametrize("text", CODES)
def test_no_escape_code_reaches_a_file_a_name_or_a_message(text: str) -> None:
    law = ConfigError(f"data.target must name {text}", text, text)
    log = Hidden("%(message)s").format(logging.LogRecord("", 20, "", 1, "column %s", (text,), None))
    written = [csv_of(pl.DataFrame({text: [text]})), for_script([text]), run_name([f"data.path={text}"], "key")]
    for told in (*written, str(law), log):
        assert not re.search(RAW, told), told


def test_predictions_of_a_target_called_like_a_formula_can_be_read_back() -> None:
    values = np.array([[-1.5], [2.5]])
    scored = Scored(np.arange(2), ["=y"], values, values, {})
    read = pl.read_csv(csv_of(scoring._frame(scored)).encode())
    assert read.to_dict(as_series=False) == {"row": [0, 1], "'=y": [-1.5, 2.5], "'=y_predicted": [-1.5, 2.5]}
