"""`experiment=`: a folder under `experiments/` by its name, or any YAML file by its path.

A file is read through a config source of Hydra's own kind, so that what may stand in a file of `conf/` may stand in it:
groups, overrides, other files. A path goes before what `conf/` has; a name without a path comes after it.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from src.commands import in_shell
from src.errors import ConfigError
from src.overrides import written
from src.places import from_here, here, place

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
_SUFFIXES = (".yaml", ".yml")


def register() -> None:
    """Makes `experiment=<name or path>` known to Hydra."""
    Plugins.instance().register(ExperimentFiles)
    Plugins.instance().register(_OnSearchPath)


def experiment_file(text: str) -> Path | None:
    """The file that a path names, as it stands or with a suffix; of a folder its `config.yaml`; None where none is."""
    path = from_here(text)
    with_suffix = [path.with_name(path.name + suffix) for suffix in _SUFFIXES if path.name]
    return next((found for found in (path, *with_suffix, path / "config.yaml") if os.path.isfile(found)), None)


def from_anywhere(text: str, groups: Iterable[Path], base: Path | None = None) -> str:
    """An option that leads to the same file wherever the user stands.

    Args:
        text: what was typed.
        groups: folders with groups, which go before a name that is no path.
        base: where the user stood; None is here.
    """
    stood = base or here()
    known = (EXPERIMENTS / text / "config.yaml", *(stood / folder / "experiment" / f"{text}.yaml" for folder in groups))
    if not _is_path(text) and any(path.is_file() for path in known):
        return text
    return str(experiment_file(str(stood / text)) or text)


def no_experiment(text: str, names: list[str]) -> ConfigError:
    """The error for a name or a path that leads to no file.

    Args:
        text: what was typed.
        names: that could have been typed.
    """
    if not _is_path(text):
        law = f"experiment is one of: {', '.join(names)}, or the path of a YAML file"
        near = [*get_close_matches(text, names, n=1), *names, "…"][0]
        return ConfigError(law, written("experiment", text), in_shell(written("experiment", near)))
    law = "experiment is the name of a folder under experiments/, or the path of a YAML file"
    missing = text if text.lower().endswith(_SUFFIXES) else f"{text}.yaml"
    return ConfigError(law, f"there is no {missing}", _nearest(from_here(missing)))


def _nearest(missing: Path) -> str:
    """The file that was probably meant, or where to look."""
    above = next(parent for parent in (missing.with_suffix(""), *missing.parents) if os.path.isdir(parent))
    files = [path for path in sorted(above.iterdir()) if path.suffix.lower() in _SUFFIXES and path.is_file()]
    folders = [path.parent for path in sorted(above.glob("*/config.yaml"))]
    names = {path.stem if path in files else path.name: path for path in (*files, *folders)}
    wanted = missing.relative_to(above).parts[0] if missing.is_relative_to(above) else missing.name
    near = get_close_matches(_stem(wanted), names, n=1, cutoff=0.75) or [name for name in names if name == "best"]
    return in_shell(written("experiment", place(names[near[0]]))) if near else in_shell("ls", place(above))


def _stem(name: str) -> str:
    return name[: -len(Path(name).suffix)] if name.lower().endswith(_SUFFIXES) else name


def _is_path(text: str) -> bool:
    return "/" in text or text[:1] in (".", "~") or text.lower().endswith(_SUFFIXES)


class ExperimentFiles(ConfigSource):
    """Hydra config source: the group `experiment`, whose options are files by their paths from where the user stands.

    Stands on the search path twice: as `paths` before all others, for what is typed as a path, and as `names` after
    `conf/`, for a folder under `experiments/` or a file of the folder that the user stands in.
    """

    @staticmethod
    def scheme() -> str:
        """What it is called on a search path."""
        return "experiment"

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads the file; where it does not say to which package it belongs, it sets keys of the whole config."""
        file = self._file(config_path)
        assert file is not None
        config = OmegaConf.load(file)
        if not isinstance(config, DictConfig):
            law = "an experiment is a file of settings: key: value"
            raise ConfigError(law, str(place(file)), "look at conf/train.yaml: keys and values")
        if found := OmegaConf.select(config, "hydra.searchpath"):
            law = "hydra.searchpath is typed: an experiment is looked for in it, and cannot say where that is"
            typed = in_shell(f"hydra.searchpath=[{','.join(map(str, found))}]")
            raise ConfigError(law, str(place(file)), f"take it out of the file, and add {typed}")
        _find_neighbours(config, file)
        header = self._get_header_dict(file.read_text()[:512])
        header["package"] = header["package"] or "_global_"
        return ConfigResult(provider=self.provider, path=self.full_path(), config=config, header=header)

    def available(self) -> bool:
        """Always."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether it has options: of `experiment` alone."""
        return config_path.strip("/") == "experiment"

    def is_config(self, config_path: str) -> bool:
        """Whether there is such a file."""
        return self._file(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names under `experiments/`; any file can be chosen besides."""
        if self.path == "paths" or not self.is_group(config_path) or results_filter == ObjectType.GROUP:
            return []
        return sorted(path.parent.name for path in EXPERIMENTS.glob("*/config.yaml"))

    def _file(self, config_path: str) -> Path | None:
        group, _, text = config_path.partition("/")
        if group != "experiment" or not text or _is_path(text) != (self.path == "paths"):
            return None
        known = EXPERIMENTS / text / "config.yaml"
        return known if self.path == "names" and os.path.isfile(known) else experiment_file(text)


class _OnSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.prepend("tandem", "experiment://paths")
        search_path.append("tandem", "experiment://names")


def _find_neighbours(config: DictConfig, file: Path) -> None:
    """A file beside this one, which its defaults list names, is found from wherever the user stands."""
    for place_in_list, entry in enumerate(config.get("defaults") or []):
        if isinstance(entry, str) and entry != "_self_" and entry[:1] != "/":
            neighbour = experiment_file(str(file.parent / entry))
            if neighbour is not None:
                config.defaults[place_in_list] = f"/experiment/{neighbour}"
