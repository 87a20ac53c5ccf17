"""Sweeps: Hydra plugins that train many runs from one command."""

from hydra.core.plugins import Plugins


def register() -> None:
    """Makes the plugins known to Hydra, which by itself takes none outside a package named `hydra_plugins`."""
    plugins = Plugins.instance()  # Hydra loads its own plugins anew here: ours are built on those, so come after
    from src.sweep.grid import GridSweeper
    from src.sweep.local import LocalLauncher
    from src.sweep.sweeper import OptunaSweeper

    accepts = Plugins.is_in_toplevel_plugins_module
    Plugins.is_in_toplevel_plugins_module = staticmethod(  # type: ignore[method-assign,assignment]
        lambda name: name.startswith("src.sweep.") or accepts(name)
    )
    for plugin in (GridSweeper, LocalLauncher, OptunaSweeper):
        plugins.register(plugin)
