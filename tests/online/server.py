"""A stand-in W&B server on loopback, for tests: it keeps what the real client sends, and can be made to fail.

It speaks as much of the protocol as the client (wandb-core 0.31) needs: GraphQL at `/graphql` (`answers.py`), the
history at `/files/<entity>/<project>/<run>/file_stream`, and uploads at `/storage/<name>`.
"""

import gzip
import json
import re
import threading
from base64 import b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "5f" * 20
"""The one key that the server takes; 40 hexadecimal digits, as W&B's keys have."""
_STREAM = re.compile(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream")


@dataclass
class Run:
    """What the server was told of a run.

    Attributes:
        about: the variables of the run's `UpsertBucket` requests, the latest of each.
        history: rows by their offset in the stream; a row that was sent twice to one offset is there once.
        resent: how many rows came to an offset that had another row.
        summary: the latest.
        exit_code: None while the client has not said that the run is over.
        files: sizes of uploaded files.
    """

    name: str
    about: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    resent: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """Its config, without W&B's own part."""
        values = json.loads(self.about.get("config") or "{}")
        return {name: value["value"] for name, value in values.items() if name != "_wandb"}

    def by_step(self) -> list[dict[str, Any]]:
        """Its history as W&B keeps it: a step that was sent twice, as `wandb sync` does after a failure, is one row."""
        steps = {row["_step"]: row for _, row in sorted(self.history.items())}
        return [{name: value for name, value in steps[step].items() if name[:1] != "_"} for step in sorted(steps)]

    def rows(self) -> list[dict[str, Any]]:
        """Its history in order, without W&B's own columns."""
        rows = [self.history[offset] for offset in sorted(self.history)]
        return [{name: value for name, value in row.items() if name[:1] != "_"} for row in rows]


class Server:
    """The server; `fault` says how it fails.

    Attributes:
        fault: None, an HTTP status that every request gets, `hang` or `close`.
        fault_after: a kind of request, and the fault that begins once one was served; `away` stops listening.
        listens: whether it takes connections.
        runs: by their W&B id.
        artifacts: by their id: what was told of each.
        views: saved views (dashboards) by their id.
        sweeps: by their id: what W&B's own sweeps were made of, and the commands that their agents shall get.
        requests: what was asked, in order: the GraphQL operation or the path.
    """

    def __init__(self) -> None:
        self.fault: int | str | None = None
        self.fault_after: tuple[str, int | str] | None = None
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self._released = threading.Event()
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens, at the same port as before if there was one."""
        self._released.clear()
        self.listens = True
        handler = type("Bound", (_Handler,), {"told": self})
        self._http = _Listener(("127.0.0.1", self._port), handler)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Goes away: no new connection is taken, and those that are open end with their next request."""
        self.listens = False
        self._http.gone = True
        self._http.shutdown()
        self._http.server_close()
        self._released.set()

    def served(self, kind: str) -> None:
        """Begins to fail, if it was to fail now."""
        if self.fault_after and self.fault_after[0] == kind:
            self.fault, self.fault_after = self.fault_after[1], None
            if self.fault == "away":
                threading.Thread(target=self.stop).start()

    def run(self, name: str) -> Run:
        return self.runs.setdefault(name, Run(name))

    def stream(self, name: str, told: dict[str, Any]) -> None:
        """Takes what a run sent to its file stream."""
        run = self.run(name)
        for file, part in (told.get("files") or {}).items():
            rows = [json.loads(line) if file.endswith(("jsonl", "json")) else line for line in part["content"]]
            if file == "wandb-history.jsonl":
                for offset, row in enumerate(rows, start=part["offset"]):
                    run.resent += run.history.get(offset, row) != row
                    run.history[offset] = row
            elif file == "wandb-summary.json":
                run.summary = rows[-1]
        if told.get("complete"):
            run.exit_code = told["exitcode"]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    gone = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed, or gives up, is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Server
    server: _Listener

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = gzip.decompress(text) if self.headers.get("Content-Encoding") == "gzip" else text
        server = self.told
        if self.server.gone or server.fault in ("close", "away"):
            self.close_connection = True
            return
        if server.fault == "hang":
            server.requests.append("hang")
            server._released.wait()
            self.close_connection = True
            return
        if isinstance(server.fault, int):
            server.requests.append(str(server.fault))
            self._send(server.fault, {"errors": [{"message": "injected"}]})
        elif self.path.startswith("/storage/"):
            self._keep_file(body)
        elif self.headers.get("Authorization") != "Basic " + b64encode(f"api:{KEY}".encode()).decode():
            self._send(401, {"errors": [{"message": "user is not logged in"}]})
        elif found := _STREAM.fullmatch(self.path):
            server.requests.append("file_stream")
            server.stream(found[3], json.loads(body))
            self._send(200, {})
            server.served("file_stream")
        else:
            self._query(json.loads(body))

    do_PUT = do_POST

    def do_GET(self) -> None:
        self.told.requests.append(f"GET {self.path}")
        self._send(404, {})

    def _query(self, asked: dict[str, Any]) -> None:
        from tests.online.answers import answer

        operation = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
        name = operation[1] if operation else asked["query"]
        self.told.requests.append(name)
        self._send(200, answer(self.told, name, asked["query"], asked.get("variables") or {}))
        self.told.served(name)

    def _keep_file(self, body: bytes) -> None:
        _, _, owner, name = self.path.split("/", 3)
        self.told.requests.append(f"upload {name}")
        if owner in self.told.runs:
            self.told.runs[owner].files[name] = body
        else:
            self.told.artifacts[owner].setdefault("files", {})[name] = body
        self._send(200, {})

    def _send(self, status: int, values: dict[str, Any]) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
