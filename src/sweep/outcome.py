"""The end of a study: the best setting, or the front of several objectives, and the file that trains it again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.again import search_path, starts_sweeps, tracked, words_of
from src.commands import command
from src.experiments import from_anywhere
from src.overrides import parse, written
from src.places import place
from src.ranking import BOOKKEEPING, Setting, Spread, rounded
from src.record import replace_file
from src.suggest import GROUPS
from src.sweep.search import Search
from src.sweep.session import end_sweep
from src.sweep.study import Outcome

_SHOWN = 10  # settings of a Pareto front


def say_what_came_out(search: Search) -> None:
    """Prints the best settings, and writes `best.yaml` where one setting is best: the first one of the report."""
    own = {record.key: record for suggestion, _ in search.told for record in suggestion.records}
    if len(search.metrics) > 1:
        _say_front(search, Console())
    keep_best = _keeper(search) if len(search.metrics) == 1 else None
    end_sweep(search.folder, search.cfg, own, keep_best=keep_best)


def _keeper(search: Search) -> Callable[[Setting], str]:
    path = search.folder / "best.yaml"

    def keep(best: Setting) -> str:
        overrides, trial = best.trials[0].overrides, search.folder / best.trials[0].key
        left_out = [text for text in overrides if text[0] == "~" and not _is_group(text)]
        chosen = written("experiment", place(path.with_suffix("")))
        again = command("train", *words_of(trial), *tracked(overrides), chosen, *left_out)
        replace_file(path, _as_experiment(overrides, again, starts_sweeps(trial), search_path(trial)))
        return again

    return keep


def _as_experiment(overrides: Sequence[str], command: str, is_one_run: bool, looked_in: Sequence[Path]) -> str:
    """Overrides as a config that `experiment=` takes: groups are chosen, values are set.

    Args:
        overrides: as they were typed.
        command: that takes it.
        is_one_run: whether it has to say so, since an experiment that it is made from asks for a sweep.
        looked_in: the folders with its groups.
    """
    defaults: list[Any] = []
    values: dict[str, Any] = {"hydra": {"mode": "RUN"}} if is_one_run else {}
    for text in overrides:
        override = parse(text)
        key = override.key_or_group
        if BOOKKEEPING.match(text) or key == "seed":
            continue
        if override.is_delete():
            defaults += [{f"override /{key}": None}] if _is_group(text) else []
        elif key == "experiment":
            chosen = override.value()
            names = chosen if isinstance(chosen, list) else [chosen]
            defaults += [f"/experiment/{from_anywhere(str(name), looked_in)}" for name in names]
        elif _is_group(text):
            defaults.append({f"override /{key}": override.value()})
        else:
            *groups, leaf = key.split(".")
            node = values
            for group in groups:
                node = node.setdefault(group, {})
            node[leaf] = override.value()
    defaults.sort(key=lambda entry: isinstance(entry, dict))  # Hydra has overrides at the end of a list alone
    config = ({"defaults": [*defaults, "_self_"]} if defaults else {}) | values
    return f"# @package _global_\n# {command}\n{yaml.safe_dump(config, sort_keys=False, allow_unicode=True)}"


def _is_group(text: str) -> bool:
    key = parse(text).key_or_group
    return key in GROUPS or "/" in key


def _say_front(search: Search, console: Console) -> None:
    """The settings that no other one beats in every objective."""
    numbers = {trial.number for trial in search.study.best_trials}
    front = [told for number, told in enumerate(search.told) if number in numbers]
    front.sort(key=lambda told: (told[1].values or [])[::-1])
    title = f"{len(search.told)} suggestions, {len(front)} of them on the Pareto front"
    table = Table("setting", title=title, title_justify="left", title_style="bold")
    for metric in search.metrics:
        table.add_column(metric, justify="right")
    for suggestion, came_out in front[:_SHOWN]:
        table.add_row(Text(_short(suggestion.overrides)), *_cells(search.metrics, came_out))
    console.print(table)
    if len(front) > _SHOWN:
        console.print(f"and {len(front) - _SHOWN} more on the front", highlight=False)


def _short(overrides: Sequence[str]) -> str:
    pairs = (text.partition("=") for text in overrides)
    return " ".join(f"{key}={rounded(value)}" for key, _, value in pairs)


def _cells(metrics: Sequence[str], came_out: Outcome) -> list[str]:
    """As the report shows a mean and a deviation."""
    deviations = [came_out.about.get(f"std of {metric}") for metric in metrics]
    return [str(Spread(0, value, std)) for value, std in zip(came_out.values or [], deviations, strict=True)]
