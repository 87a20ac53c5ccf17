"""The Optuna sweeper: `python -m src.train -m hydra/sweeper=optuna optimizer.lr='tag(log,interval(1e-5,1e-1))'`.

Suggestions train in batches, each batch as one sweep of its own. The study is rebuilt from the trials' records at
every start, and a batch is asked for anew from the same seed: what a kill cut off comes again under its old keys.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log, setup_globals
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from src.check import into_schema
from src.commands import command
from src.config import Config
from src.errors import ConfigError
from src.laws import METRICS
from src.places import place
from src.suggest import closest
from src.sweep.folder import forget_sweep
from src.sweep.jobs import compose_jobs
from src.sweep.options import Options
from src.sweep.pruning import Pruning
from src.sweep.session import session

if TYPE_CHECKING:  # optuna is imported once the search is known to be right
    from src.sweep.search import Search


class OptunaSweeper(Sweeper):
    """Hydra sweeper on Optuna's samplers, by ask and tell.

    Args:
        sampler: one of Optuna's, with its arguments.
        pruner: what drops trials that fall behind; see `src.sweep.pruning`.
        options: see `Options`.
    """

    def __init__(self, sampler: DictConfig, pruner: DictConfig, **options: Any) -> None:
        self._sampler, self._pruner, self._options = sampler, pruner, options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self._loader, self._config = hydra_context.config_loader, config
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Searches until the study has all its trials.

        Args:
            arguments: the overrides, some of them sweeps.

        Raises:
            SystemExit: where a setting is wrong (2), or too many trials failed (1).
        """
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        folder = Path(str(self._config.hydra.sweep.dir))
        resume = command("resume", place(folder))
        try:
            search = self._search(arguments, folder)
            with session(folder, resume):
                OmegaConf.save(self._config, folder / "multirun.yaml")
                self._run(search)
        except ConfigError:
            forget_sweep(folder)
            raise

    def _run(self, search: "Search") -> None:
        from src.sweep.outcome import say_what_came_out

        search.run()
        say_what_came_out(search)

    def _search(self, arguments: list[str], folder: Path) -> "Search":
        """Checks all that can be checked before a trial begins.

        Raises:
            ConfigError: at the first setting that is wrong.
        """
        from src.sweep.samplers import settled
        from src.sweep.search import Search  # optuna is imported here
        from src.sweep.space import parse

        options = OmegaConf.to_object(into_schema(Options, OmegaConf.create(self._options), "hydra.sweeper"))
        assert isinstance(options, Options)
        _check_storage(OmegaConf.to_container(self._config.hydra.sweeper)["storage"])  # type: ignore[index,call-overload]
        space = parse(OverridesParser.create(config_loader=self._loader).parse_overrides(arguments))
        # The ends of every interval are composed and checked: the suggestions in between are right then, too.
        corners = [[*space.fixed, *corner] for corner in space.corners()]
        cfg = compose_jobs(self._loader, self._config, folder, corners, 0)[0].cfg
        metrics = _metrics(options.objective, cfg)
        if Pruning(self._pruner, folder, cfg).drops and len(metrics) > 1:
            law = "hydra/sweeper/pruner compares trials by one objective"
            raise ConfigError(law, metrics, "hydra/sweeper/pruner=none")
        settled(options, self._sampler, space, len(metrics))
        return Search(folder, space, cfg, metrics, options, self._sampler, self._launcher)


def _check_storage(typed: str | None) -> None:
    """Refuses a password among the words of a command: records, the report and W&B keep these."""
    url = re.sub(r"\$\{.*?\}", "", str(typed))  # what comes from the environment is kept by its name
    if re.search(r"://[^:/]*:[^@]+@|[?&]\w*(password|passwd|pwd)=[^&]", url):
        law = "hydra.sweeper.storage must not hold a password, since records, the report and W&B keep the command"
        shown = f"{url.partition('://')[0]}://…"
        raise ConfigError(law, shown, "'hydra.sweeper.storage=${oc.env:STUDY_DB}'   # with the URL in STUDY_DB")


def _metrics(asked: list[str] | None, cfg: Config) -> list[str]:
    """The study's objectives: the run's own one, or those asked for."""
    if asked is None:
        return [cfg.objective.metric]
    known = (*METRICS, "num_parameters")
    for metric in asked:
        if metric not in known:
            law = f"hydra.sweeper.objective lists some of: {', '.join(known)}"
            remedy = f"'hydra.sweeper.objective=[{closest(metric, known) or 'val/loss'},num_parameters]'"
            raise ConfigError(law, metric, remedy)
    if len(set(asked)) < max(2, len(asked)):
        law = "hydra.sweeper.objective lists two objectives or more; a single one is objective.metric"
        raise ConfigError(law, asked, f"objective.metric={next(iter(asked), 'val/loss')}")
    return asked
