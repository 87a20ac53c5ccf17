"""What Tandem writes as an override, Hydra reads as the same value."""

from typing import Any

import pytest

from src import overrides

TEXTS = ["a b", "1", "null", "true", "a,b", "it's", "c:\\x\\", "", " ", "[a", "é – “x”", "a=b", "x(3)", "~/x", "\\'"]


@pytest.mark.parametrize("value", [*TEXTS, 1e-7, None, False, 0, [1, "a b", None, "2"], {"a": [True, "x}"]}, "a'b\"c"])
def test_a_value_that_is_written_is_read_as_it_was(value: Any) -> None:
    assert overrides.parse(overrides.written("key", value)).value() == value


def test_a_line_is_read_into_flags_settings_and_what_is_neither() -> None:
    line = overrides.read(["-m", "optimizer=adam,sgd", "~data.seed", "+x.y@z=1", "--no-such-flag", "late=1"])
    assert line.flags.multirun
    assert [word.key_or_group for word in line.overrides] == ["optimizer", "data.seed", "x.y"]
    assert [word.key_or_group for word in line.all_of("optimizer")] == ["optimizer"]
    assert line.others == ["--no-such-flag", "late=1"]
