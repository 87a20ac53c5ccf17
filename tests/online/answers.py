"""What the stand-in server answers to each GraphQL operation of the client."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.online.server import Server

Variables = dict[str, Any]
ENTITY = "someone"


def answer(server: "Server", name: str, query: str, told: Variables) -> dict[str, Any]:
    """The answer to an operation; one that is not known is an error that the client shows."""
    found = _ANSWERS.get(name)
    if found is None:
        return {"errors": [{"message": f"the stand-in server does not know {name}"}]}
    return {"data": found(server, told)}


def _viewer(server: "Server", told: Variables) -> dict[str, Any]:
    return {"viewer": {"id": "u1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}",
                       "teams": {"edges": []}}}  # fmt: skip


def _features(server: "Server", told: Variables) -> dict[str, Any]:
    return {"serverInfo": {"features": []}}


def _project(told: Variables) -> dict[str, Any]:
    return {
        "id": "p1",
        "name": told.get("project") or "uncategorized",
        "entity": {"id": "e1", "name": told.get("entity") or ENTITY},
    }


def _upsert_run(server: "Server", told: Variables) -> dict[str, Any]:
    name = told.get("name") or told["id"]
    inserted = name not in server.runs
    run = server.run(name)
    run.about |= {key: value for key, value in told.items() if value is not None}
    about = run.about
    bucket = {
        "id": name, "name": name, "displayName": about.get("displayName") or name, "description": None,
        "config": about.get("config"), "sweepName": about.get("sweep"), "project": _project(about),
        "historyLineCount": len(run.history),
    }  # fmt: skip
    if told.get("summaryMetrics"):
        run.summary |= json.loads(told["summaryMetrics"])
    return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}


def _resume_status(server: "Server", told: Variables) -> dict[str, Any]:
    run = server.runs.get(told["name"])
    bucket = run and {
        "id": run.name, "name": run.name, "summaryMetrics": json.dumps(run.summary), "displayName": run.name,
        "logLineCount": 0, "historyLineCount": len(run.history), "eventsLineCount": 0,
        "historyTail": json.dumps([json.dumps(run.history[max(run.history)])] if run.history else []),
        "eventsTail": "[]", "config": run.about.get("config") or "{}", "tags": run.about.get("tags") or [],
        "notes": None, "wandbConfig": json.dumps({"t": {}}),
    }  # fmt: skip
    return {"model": {**_project(told), "bucket": bucket}}


def _run_files(server: "Server", told: Variables) -> dict[str, Any]:
    files = [{"name": name, "uploadUrl": f"{server.url}/storage/{told['run']}/{name}"} for name in told["files"]]
    return {"createRunFiles": {"runID": told["run"], "uploadHeaders": [], "files": files}}


def _create_artifact(server: "Server", told: Variables) -> dict[str, Any]:
    about = told["input"]
    name = f"a{len(server.artifacts) + 1}"
    server.artifacts[name] = {**about, "state": "PENDING"}
    return {
        "createArtifact": {
            "artifact": {"id": name, "state": "PENDING", "artifactSequence": {"id": "s1", "latestArtifact": None}}
        }
    }


def _artifact_files(server: "Server", told: Variables) -> dict[str, Any]:
    nodes = []
    for file in told["input"]["artifactFiles"]:
        url = f"{server.url}/storage/{file['artifactID']}/{file['name']}"
        nodes.append({"node": {
            "id": "f", "name": file["name"], "storagePath": None, "uploadUrl": url, "uploadHeaders": [],
            "uploadMultipartUrls": None, "artifact": {"id": file["artifactID"]},
        }})  # fmt: skip
    return {"createArtifactFiles": {"files": {"edges": nodes}}}


def _manifest(field: str) -> Callable[["Server", Variables], dict[str, Any]]:
    def make(server: "Server", told: Variables) -> dict[str, Any]:
        artifact = told.get("artifactID") or told["artifactManifestID"]
        url = f"{server.url}/storage/{artifact}/manifest.json"
        file = {"id": "m", "uploadUrl": url, "uploadHeaders": []}
        return {field: {"artifactManifest": {"id": artifact, "file": file}}}

    return make


def _commit(server: "Server", told: Variables) -> dict[str, Any]:
    artifact = server.artifacts[told["artifactID"]]
    artifact["state"] = "COMMITTED"
    return {"commitArtifact": {"artifact": {"id": told["artifactID"], "digest": artifact.get("digest")}}}


def _upsert_view(server: "Server", told: Variables) -> dict[str, Any]:
    same = next((key for key, view in server.views.items() if view["name"] == told["name"]), None)
    view_id = told.get("id") or same or f"v{len(server.views) + 1}"
    inserted = view_id not in server.views
    server.views[view_id] = told
    return {"upsertView": {"view": {"id": view_id, "name": told["name"]}, "inserted": inserted}}


def _view(server: "Server", told: Variables) -> dict[str, Any]:
    found = [{"node": {"id": key, "displayName": view["displayName"], "spec": view["spec"]}}
             for key, view in server.views.items() if view["name"] == told["viewName"]]  # fmt: skip
    return {"project": {"allViews": {"edges": found}}}


def _sweep(server: "Server", told: Variables) -> dict[str, Any]:
    sweep = server.sweeps[told["sweep"]]
    about = {
        "id": told["sweep"], "name": told["sweep"], "method": "grid", "state": "RUNNING", "description": None,
        "config": sweep["config"], "createdAt": "2026-01-01T00:00:00", "heartbeatAt": None, "updatedAt": None,
        "earlyStopJobRunning": False, "bestLoss": None, "controller": None, "scheduler": None, "runs": {"edges": []},
    }  # fmt: skip
    return {"project": {"sweep": about}}


def _upsert_sweep(server: "Server", told: Variables) -> dict[str, Any]:
    name = told.get("id") or f"sweep{len(server.sweeps) + 1}"
    server.sweeps.setdefault(name, {"commands": []}).update(told)
    project = {"id": "p1", "name": told["projectName"], "entity": {"id": "e1", "name": ENTITY}}
    return {"upsertSweep": {"sweep": {"id": name, "name": name, "project": project}, "configValidationWarnings": []}}


def _heartbeat(server: "Server", told: Variables) -> dict[str, Any]:
    """One run at a time: the next one once the agent has none that runs."""
    sweep = server.sweeps[told["id"]]
    idle = not json.loads(told["runState"])
    commands = [sweep["commands"].pop(0)] if idle and sweep["commands"] else [] if not idle else [{"type": "exit"}]
    return {"agentHeartbeat": {"agent": {"id": told["id"]}, "commands": json.dumps(commands)}}


_ANSWERS: dict[str, Callable[["Server", Variables], dict[str, Any]]] = {
    "Viewer": _viewer,
    "ServerFeaturesQuery": _features,
    "UpsertBucket": _upsert_run,
    "RunResumeStatus": _resume_status,
    "CreateRunFiles": _run_files,
    "MarkRunFilesUploaded": lambda server, told: {"markRunFilesUploaded": {"success": True}},
    "CreateArtifact": _create_artifact,
    "CreateArtifactFiles": _artifact_files,
    "CreateArtifactManifest": _manifest("createArtifactManifest"),
    "UpdateArtifactManifest": _manifest("updateArtifactManifest"),
    "CommitArtifact": _commit,
    "UpsertView2": _upsert_view,
    "View": _view,
    "UpsertSweep": _upsert_sweep,
    "SweepWithRuns": _sweep,
    "CreateAgent": lambda server, told: {"createAgent": {"agent": {"id": told["sweep"]}}},
    "Heartbeat": _heartbeat,
    "XXHashDigestsEnabled": lambda server, told: {"entity": {"xxhashDigestsEnabled": False}},
    "FetchArtifactDigestAlgorithm": lambda server, told: {"project": {"artifactType": {"artifactCollection": None}}},
    "OrganizationCoreWeaveOrganizationID": lambda server, told: {"entity": {"organization": None}},
}
