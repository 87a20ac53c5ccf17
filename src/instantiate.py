"""The one place where what the config names by `_target_` becomes an object."""

import re
import shlex
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException

from src.errors import ConfigError
from src.suggest import COMMAND


def instantiate(node: Any, *args: Any, group: str = "", **kwargs: Any) -> Any:
    """Builds what a node of the config names, with lists and mappings as Python's own.

    A class that keeps what it is given puts it into the checkpoint, and one with OmegaConf's lists
    in it does not load with `weights_only=True`. A node that says `_convert_` itself is heard.

    Args:
        node: the config's.
        args: what the class takes before the node's keys.
        group: where the node stands in the config, for what an error suggests.
        kwargs: what it takes besides them.

    Raises:
        ConfigError: where a class of torch or Lightning refuses what it is given.
        InstantiationException: where the class is not there, or raises.
    """
    convert = {} if "_convert_" in node else {"_convert_": "all"}
    try:
        return hydra.utils.instantiate(node, *args, **convert, **kwargs)
    except InstantiationException as error:
        target, cause = str(node.get("_target_")), error.__cause__
        refused = isinstance(cause, TypeError | ValueError) or type(cause).__name__ == "MisconfigurationException"
        if target.startswith(("torch.", "lightning.")) and refused:
            law = f"{target} must take what the config gives it"
            raise ConfigError(law, " ".join(str(cause).split()), _remedy(group, str(cause))) from error
        raise


def _remedy(group: str, problem: str) -> str:
    """A key that the class does not take is taken out."""
    found = re.search(r"unexpected keyword argument '(\w+)'", problem)
    return shlex.quote(f"~{group}.{found[1]}") if found and group else f"{COMMAND} --cfg job   # shows every key"
