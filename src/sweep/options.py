"""What `hydra.sweeper` holds for a search, besides the sampler and the pruner."""

from dataclasses import dataclass

from omegaconf import MISSING

from src.groups import number


@dataclass
class Options:
    """See `conf/hydra/sweeper/optuna.yaml`."""

    num_trials: int | None = number(at_least=1)
    batch_size: int | None = number(at_least=1)
    num_seeds: int = number(at_least=1)
    objective: list[str] | None = MISSING
    timeout: float | None = number(above=0)
    max_failure_rate: float = number(at_least=0, at_most=1)
    seed: int = number(at_least=0, below=2**32)
    storage: str | None = MISSING
