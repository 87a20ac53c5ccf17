"""Dates, times of day and durations written as text: they are no groups of rows. Never imports torch."""

import polars as pl

_DAY, _MONTH, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:1[4-9]|2[0-9])[0-9]{2}"
_SHORT = "'?(?:[0-9]{2}|[0-9]{4})"  # a year of two digits or four
_CLOCK = (
    r"(?:[01]?[0-9]|2[0-4])(?::[0-5][0-9]){1,2}(?:[.,][0-9]+)?\s*(?:[ap]\.?m\.?)?\s*(?:Z|[A-Z]{2,5}|[-+][0-9:]{2,6})?"
)
_THEN = rf"(?:(?:T|,?\s+|:){_CLOCK}|(?:T|\s+)[0-9]{{1,2}}\s*(?:[ap]m)?)?"  # what may stand behind a day
_BETWEEN = r"[\s.,/\-]*"

_ENGLISH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_OTHERS = (
    "januar[iy]?|jänner|jän|janv(?:ier)?|janeiro|ene(?:ro)?|gen(?:naio)?|februar[iy]?|févr?(?:ier)?|febrero|febbraio"
    "|fev(?:ereiro)?|märz|mär|mrz|mrt|maart|mars|marzo|março|avr(?:il)?|abr(?:il)?|aprile|mai|maio|mayo|maj|mei"
    "|mag(?:gio)?|juni|juin|junio|junho|giu(?:gno)?|juli|juil(?:let)?|julio|julho|lug(?:lio)?|august(?:us|i)?|août"
    "|ago(?:sto)?|set(?:tembre|embro|iembre)?|septembre|septiembre|okt(?:ober)?|octobre|octubre|ott(?:obre)?"
    "|out(?:ubro)?|novembre|noviembre|novembro|dez(?:ember|embro)?|déc(?:embre)?|dic(?:iembre|embre)?|desember"
)
_NAME = rf"(?:{_ENGLISH}|{_OTHERS})\.?"
_DAYS = rf"{_DAY}(?:st|nd|rd|th|er|\.)?"
_WEEKDAY = r"(?:\p{L}{2,10}\.?,?\s+)?"

_FORMS = [
    rf"{_YEAR}(?:[-/]{_MONTH}|[-/.]{_MONTH}[-/.]{_DAY}{_THEN})",  # 2021/03, 2021-03-04T05:06Z
    rf"(?:{_DAY}[-/.]{_MONTH}|{_MONTH}[-/.]{_DAY})[-/.](?:{_YEAR}|[0-9]{{2}}){_THEN}",  # 03/04/2021, 4.3.21
    rf"{_DAY}\.{_MONTH}\.",  # 4.3.
    rf"{_MONTH}[-/]{_YEAR}",  # 03/2021
    rf"{_YEAR}\s*(?:年|-W|W){_SHORT}?.*",  # 2021-W05-3, 2021年3月4日
    rf"{_YEAR}[-/.\s]*[QH][1-4]|[QH][1-4](?:[-/.\s]*{_YEAR}|[-/'][0-9]{{2}})",  # 2021Q1, Q1 2021
    rf"{_WEEKDAY}{_DAYS}{_BETWEEN}(?:de\s+|of\s+)?{_NAME}{_BETWEEN}(?:de\s+)?{_SHORT}{_THEN}",  # 4 March 2021
    rf"{_WEEKDAY}{_NAME}{_BETWEEN}{_DAYS}(?:,\s*|[\s/\-]+){_YEAR}{_THEN}",  # March 4, 2021
    rf"{_WEEKDAY}{_NAME}\s+{_DAY}\s+{_CLOCK}\s+{_YEAR}",  # Thu Mar  4 05:06:07 2021
    rf"{_YEAR}{_BETWEEN}{_NAME}(?:{_BETWEEN}{_DAYS})?{_THEN}",  # 2021-Mar-04
    rf"{_NAME}{_BETWEEN}'?{_YEAR}|{_NAME}[-/']+[0-9]{{2}}",  # March 2021, Mar-21
    rf"{_DAYS}[-/]{_NAME}|{_DAY}\.\s*{_NAME}",  # 4-Mar, 4. März
    rf"{_DAYS}\s+(?:{_ENGLISH})|(?:{_ENGLISH})\s+{_DAYS}",  # 4 March, March 4
    _CLOCK,  # 05:06, 5:06 PM
    r"[-+]?(?:[0-9]+\s*d(?:ays?)?,?\s*)?[-+]?[0-9]+:[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?",  # 2 days 03:00:00, 125:30:00
    r"-?P(?:[0-9.]+[YMWD])+(?:T(?:[0-9.]+[HMS])+)?|-?PT(?:[0-9.]+[HMS])+",  # PT5M
    r"(?:[0-9]+\s*(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)[\s,]*){2,}",  # 2h 30m
]
_IS_DATE = rf"(?i)^(?:{'|'.join(_FORMS)})$"
_DD, _MM, _YYYY = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "(?:1[89]|20|21)[0-9]{2}"
_NUMBER_IS_DATE = rf"^(?:{_YYYY}{_MM}(?:{_DD}(?:[0-9]{{4}}|[0-9]{{6}})?)?|{_MM}\.{_YYYY}|{_YYYY}\.{_MM})(?:\.0)?$"
_SAMPLE, _FEWEST = 1000, 5


def may_be_dates(numbers: pl.Series) -> bool:
    """Whether a cell of a text that holds numbers is written like a date."""
    return bool(numbers.str.contains(_NUMBER_IS_DATE).any())


def date_in(column: pl.Series, is_number: bool) -> str | None:
    """A cell of a column that holds dates, times or durations; None for any other column.

    Text holds them if more than half of its cells are written like one. Numbers do if each is one without marks
    between, such as 20210304, 202103 or 03.2021, and there are five of them. A sample of 1,000 cells is looked at.
    """
    cells = column.drop_nulls()
    cells = cells.gather_every(max(1, len(cells) // _SAMPLE)).cast(pl.String)
    is_date = cells.str.contains(_NUMBER_IS_DATE if is_number else f"{_IS_DATE}|{_NUMBER_IS_DATE}")
    if is_number and (cells.n_unique() < 2 or len(cells) < _FEWEST or not is_date.all()):
        return None
    return str(cells.filter(is_date)[0]) if is_date.sum() > len(cells) / 2 else None
