"""The end of a study: which keys mattered, the best setting, and the file that trains it again."""

from collections.abc import Sequence
from typing import Any

import optuna
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.ranking import BOOKKEEPING, rounded
from src.record import replace_file
from src.suggest import GROUPS
from src.summary import short
from src.sweep.search import Search
from src.sweep.session import end_sweep
from src.sweep.study import Outcome

_FEWEST = 10  # complete trials from which importances can be told
_SHOWN = 10  # settings of a Pareto front


def say_what_came_out(search: Search) -> None:
    """Prints the best settings and the importance of each key, and writes `best.yaml` where one setting is best."""
    console = Console()
    own = {record.key: record for suggestion, _ in search.told for record in suggestion.records}
    if table := _importances(search):
        console.print(table)
    if len(search.metrics) > 1:
        _say_front(search, console)
    done = [(s, came_out) for s, came_out in search.told if came_out.state == TrialState.COMPLETE]
    commands = []
    if done and len(search.metrics) == 1:
        best, _ = min(done, key=lambda pair: search.cfg.objective.sign * (pair[1].values or [0])[0])
        path = search.folder / "best.yaml"
        command = f"python -m src.train experiment={short(path.with_suffix(''))}"
        replace_file(path, _as_experiment([*search.space.fixed, *best.overrides], command))
        commands = [command]
    end_sweep(search.folder, search.cfg, own, commands)


def _as_experiment(overrides: Sequence[str], command: str) -> str:
    """Overrides as a config that `experiment=` takes: groups are chosen, values are set."""
    defaults: list[Any] = []
    values: dict[str, Any] = {}
    for text in overrides:
        override = OverridesParser.create().parse_override(text)
        key = override.key_or_group
        if BOOKKEEPING.match(text) or key == "seed" or override.is_delete():
            continue
        if key == "experiment":
            defaults.append(f"/experiment/{override.value()}")
        elif key in GROUPS or "/" in key:
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


def _importances(search: Search) -> Table | None:
    """How much of the first objective's variance each key explains, by Optuna's fANOVA."""
    done = [trial for trial in search.study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    values = {trial.values[0] for trial in done}
    if len(done) < _FEWEST or len(search.space.distributions) < 2 or len(values) < 2:
        return None
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(
        search.study, evaluator=evaluator, target=lambda trial: trial.values[0]
    )
    table = Table("key", title="importance", title_justify="left", title_style="bold")
    table.add_column(search.metrics[0], justify="right")
    for key, share in shares.items():
        table.add_row(Text(key), f"{share:.2f}")
    return table


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
    spreads = [came_out.about.get(f"std of {metric}") for metric in metrics]
    return [
        f"{value:.5g}" + (f" ± {spread:.2g}" if spread else "")
        for value, spread in zip(came_out.values or [], spreads, strict=True)
    ]
