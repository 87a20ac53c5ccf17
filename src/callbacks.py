"""A run's own Lightning callbacks, as `callbacks` in the config names them, and what they must leave right."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging

from src.build import Run, build_module
from src.config import Config
from src.errors import ConfigError
from src.instantiate import instantiate
from src.laws import check_callback_class
from src.record import Row
from src.suggest import closest

log = logging.getLogger(__name__)
_SCORED = "and the record and best.ckpt have the best epoch's own; WeightAveraging is scored at every epoch"
_RTOL = 1e-4  # a GPU may sum up in another order


def own_callbacks(cfg: Config) -> list[Callback]:
    """Makes the callbacks that the config names.

    Raises:
        ConfigError: where one is no Lightning callback, or sets what the config sets.
    """
    made = []
    for name, node in cfg.callbacks.items():
        callback = _made(f"callbacks.{name}", node)
        if not isinstance(callback, Callback):
            law = f"callbacks.{name}._target_ must be a class of lightning.pytorch.callbacks.Callback"
            raise ConfigError(law, node["_target_"])
        for parent in type(callback).__mro__:
            check_callback_class(f"callbacks.{name}", parent.__name__)
        if isinstance(callback, StochasticWeightAveraging):
            log.warning(
                f"callbacks.{name} averages when training ends: last.ckpt has the mean of the weights, {_SCORED}"
            )
        made.append(callback)
    return made


def _made(key: str, node: Any) -> Any:
    try:
        return instantiate(node, group=key)
    except InstantiationException as error:
        target = str(node["_target_"])
        near = closest(target.rpartition(".")[2], callbacks.__all__)
        if near and str(error).startswith("Error locating target"):
            law = f"{key}._target_ must name a class that can be imported"
            raise ConfigError(law, target, f"{key}._target_=lightning.pytorch.callbacks.{near}") from error
        raise


@contextmanager
def callbacks_in(cfg: Config) -> Iterator[None]:
    """Around a training: what Lightning refuses about a callback is the config's mistake."""
    try:
        yield
    except MisconfigurationException as error:
        if not cfg.callbacks:
            raise
        law = f"Lightning refuses the callbacks {', '.join(cfg.callbacks)}: {' '.join(str(error).split())}"
        raise ConfigError(law) from error


def score_anew(cfg: Config, run: Run, checkpoint: str, best: Row) -> dict[str, float]:
    """Scores the best checkpoint with a net that no callback has touched.

    Args:
        cfg: the run's config.
        run: that has trained.
        checkpoint: the best one.
        best: its row.

    Returns:
        Its metrics on the test split; none without one.

    Raises:
        RuntimeError: where its metrics on the validation split are not those of its row.
    """
    trainer, module = run.trainer, build_module(cfg, run.data)
    trainer.callbacks = []  # type: ignore[attr-defined]  # they would change weights again
    if any(name.startswith("val/") for name in best):
        trainer.validate(module, run.data, ckpt_path=checkpoint, verbose=False, weights_only=True)
        for name, value in module.metrics.items():
            if not math.isclose(value, best[name], rel_tol=_RTOL, abs_tol=1e-6):
                problem = (
                    f"{name} was {best[name]:.6g} in epoch {best['epoch']:.0f}, and with best.ckpt it is {value:.6g}"
                )
                raise RuntimeError(f"a callback of {', '.join(cfg.callbacks)} changes what is scored: {problem}")
        module.metrics = {}
    if len(run.data.split("test")[0]):
        trainer.test(module, run.data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    return module.metrics
