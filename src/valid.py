"""Whether plain values, as JSON has them, are what a type says."""

import math
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Problem = str | None


def problem(value: Any, hint: Any, name: str) -> Problem:
    """What is wrong with a value, such as `timing.steps is no int`; None where nothing is.

    Args:
        value: it may be anything.
        hint: a plain type, a union, a `Literal`, a `list` of a plain type, a `dict` with texts as keys, or a
            `TypedDict`, whose keys may lack.
        name: of the value.
    """
    found = _checker(hint)(value)
    return None if found is None else name + found


Check = Callable[[Any], Problem]
"""Says what is wrong, behind the name of the value: names are put together only where something is."""


@cache
def _checker(hint: Any) -> Check:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: None
    if origin in (Union, UnionType):
        return _any_of([_checker(part) for part in parts])
    if origin is Literal:
        return lambda value: None if value in parts else f" is none of {', '.join(map(str, parts))}"
    if origin is list:
        return _list_of(parts[0])
    if is_typeddict(hint):
        return _fields({name: _checker(part) for name, part in get_type_hints(hint).items()}, None)
    if origin is dict:
        return _fields({}, _checker(parts[1]))
    return _number if hint is float else _plain(hint)


def _plain(wanted: type) -> Check:
    wrong = f" is no {'null' if wanted is NoneType else wanted.__name__}"
    return lambda value: None if type(value) is wanted else wrong


def _number(value: Any) -> Problem:
    is_right = type(value) is int or (type(value) is float and math.isfinite(value))
    return None if is_right else " is no float"


def _any_of(checks: list[Check]) -> Check:
    def check(value: Any) -> Problem:
        first = checks[0](value)
        if first is None or any(other(value) is None for other in checks[1:]):
            return None
        return first

    return check


def _list_of(wanted: type) -> Check:
    def check(value: Any) -> Problem:
        if not isinstance(value, list) or not set(map(type, value)) <= {wanted}:
            return f" is no list of {wanted.__name__}"
        return None

    return check


def _fields(known: dict[str, Check], others: Check | None) -> Check:
    def check(value: Any) -> Problem:
        if not isinstance(value, dict):
            return " is no mapping"
        for key, part in value.items():
            own = known.get(key, others)
            if own is not None and (found := own(part)) is not None:
                return f".{key}{found}"
        return None

    return check
