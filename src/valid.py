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
    return _checker(hint)(value, name)


@cache
def _checker(hint: Any) -> Callable[[Any, str], Problem]:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value, name: None
    if origin in (Union, UnionType):
        return _any_of([_checker(part) for part in parts])
    if origin is Literal:
        return lambda value, name: None if value in parts else f"{name} is none of {', '.join(map(str, parts))}"
    if origin is list:
        return _list_of(parts[0])
    if is_typeddict(hint):
        return _fields({name: _checker(part) for name, part in get_type_hints(hint).items()}, None)
    if origin is dict:
        return _fields({}, _checker(parts[1]))
    return _plain(hint)


def _plain(wanted: type) -> Callable[[Any, str], Problem]:
    def check(value: Any, name: str) -> Problem:
        is_right = type(value) is wanted or (wanted is float and type(value) is int)
        if not is_right or (wanted is float and not math.isfinite(value)):
            return f"{name} is no {'null' if wanted is NoneType else wanted.__name__}"
        return None

    return check


def _any_of(checkers: list[Callable[[Any, str], Problem]]) -> Callable[[Any, str], Problem]:
    def check(value: Any, name: str) -> Problem:
        problems = [check(value, name) for check in checkers]
        return None if None in problems else problems[0]

    return check


def _list_of(wanted: type) -> Callable[[Any, str], Problem]:
    def check(value: Any, name: str) -> Problem:
        if not isinstance(value, list) or not set(map(type, value)) <= {wanted}:
            return f"{name} is no list of {wanted.__name__}"
        return None

    return check


def _fields(
    known: dict[str, Callable[[Any, str], Problem]], others: Callable[[Any, str], Problem] | None
) -> Callable[[Any, str], Problem]:
    def check(value: Any, name: str) -> Problem:
        if not isinstance(value, dict):
            return f"{name} is no mapping"
        for key, part in value.items():
            checker = known.get(key, others)
            if checker and (found := checker(part, f"{name}.{key}")):
                return found
        return None

    return check
