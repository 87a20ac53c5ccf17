"""W&B's server: which one, whether it answers, and whether it takes our key. Nothing here waits long, nothing asks."""

import os
from dataclasses import dataclass

NO_KEY = "W&B has no key; `wandb login` once, or set WANDB_API_KEY"
_PATIENCE = 3.0  # seconds for a connection, and as many for an answer
_VIEWER = "query Viewer { viewer { entity } }"


class Unreachable(Exception):
    """The server cannot be used just now, and its text says why.

    Attributes:
        final: asking again would change nothing, as with a wrong key.
    """

    def __init__(self, why: str, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


@dataclass(frozen=True)
class Account:
    """Who we are to the server.

    Attributes:
        entity: where runs go that name no entity.
        app_url: the pages that people look at.
    """

    entity: str
    app_url: str

    def run_url(self, entity: str | None, project: str, run_id: str) -> str:
        """A run's page."""
        return f"{self.app_url}/{entity or self.entity}/{project}/runs/{run_id}"


def quiet_environment() -> None:
    """Settings that wandb reads at its import: no telemetry, nothing printed, and the server may be used."""
    os.environ["WANDB_MODE"] = "online"
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")


def account(patience: float = _PATIENCE) -> Account:
    """Asks the server who we are.

    Raises:
        Unreachable: where there is no key, or the server cannot be reached, does not answer in time, or refuses.
    """
    import requests
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise Unreachable(NO_KEY, final=True)
    settings = wandb.setup().settings
    host, sign_in = settings.base_url, ("api", settings.api_key or "")
    try:
        answer = requests.post(f"{host}/graphql", json={"query": _VIEWER}, auth=sign_in, timeout=patience)
    except requests.Timeout:
        raise Unreachable(f"{host} does not answer") from None
    except requests.RequestException as error:
        raise Unreachable(f"{host} cannot be reached ({type(error).__name__})") from None
    if answer.status_code in (401, 403):
        raise Unreachable(f"{host} does not take this key (HTTP {answer.status_code})", final=True)
    if answer.status_code != 200:
        raise Unreachable(f"{host} answers HTTP {answer.status_code}")
    try:
        viewer = answer.json()["data"]["viewer"]
    except (ValueError, TypeError, KeyError):
        raise Unreachable(f"{host} does not answer as W&B does") from None
    if not viewer:
        raise Unreachable(f"{host} does not know this key", final=True)
    return Account(viewer.get("entity") or "", str(settings.app_url).rstrip("/"))
