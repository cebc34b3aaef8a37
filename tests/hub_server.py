"""A local server with the part of the hub's HTTP API that a download needs.

tests/hub_uploads.py adds the part that an upload needs.
"""

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

DATA_SET = "team/data"
MODEL, REVISION, TOKEN = "team/model", "0123456789abcdef" * 2 + "01234567", "hf_a_secret_token"

LISTINGS = {
    f"/api/models/{MODEL}/revision/{REVISION}": MODEL,
    f"/api/datasets/{DATA_SET}/revision/{REVISION}": DATA_SET,
}
"""Address of the list of files of each repository."""
FOLDERS = (f"/{MODEL}/resolve/{REVISION}/", f"/datasets/{DATA_SET}/resolve/{REVISION}/")
"""Addresses below which the files of the repositories are."""


class Hub(ThreadingHTTPServer):
    """The part of the hub's HTTP API that huggingface_hub uses to download files."""

    daemon_threads = True
    handler: type[BaseHTTPRequestHandler]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, file and Range header of each request for a file."""
        self.faults: dict[str, list[str]] = {}
        """Faults at the next GETs of a file: break, stall, corrupt or an HTTP status."""
        self.error: tuple[int, str] | None = None
        """Status and X-Error-Code of every response about the repository."""
        self.portal = False
        """Whether every response is the login page of a proxy."""
        self.gated = False
        """Whether the listing is public but the files are not."""
        self.claimed: dict[str, int] = {}
        """Listed sizes of files that differ from their true sizes."""
        self.tokens: set[str | None] = set()
        self.stalled = threading.Event()
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def list_ranges(self, name: str) -> list[str | None]:
        """Return the Range header of each GET of a file."""
        return [part for method, file, part in self.requests if (method, file) == ("GET", name)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization"))
        path = urlsplit(self.path).path
        if self.server.error:
            status, code = self.server.error
            self.send(status, headers={"X-Error-Code": code} if code else {})
        elif self.server.portal:
            self.send(200, b"<html>Log in to the network</html>")
        elif path in LISTINGS:
            siblings = [self.describe_file(name) for name in self.server.files]
            body = {"id": LISTINGS[path], "sha": REVISION, "siblings": siblings}
            self.send(200, json.dumps(body).encode())
        elif self.server.gated:
            self.send(403, headers={"X-Error-Code": "GatedRepo"})
        elif path.startswith(FOLDERS):
            self.send_file(unquote(path.partition(f"/resolve/{REVISION}/")[2]))
        else:
            self.send(404, headers={"X-Error-Code": "RepoNotFound"})

    def describe_file(self, name: str) -> dict:
        content = self.server.files[name]
        size = self.server.claimed.get(name, len(content))
        if not name.endswith((".safetensors", ".parquet")):
            blob = hashlib.sha1(
                b"blob %d\0" % len(content) + content, usedforsecurity=False
            ).hexdigest()
            return {"rfilename": name, "size": size, "blobId": blob}
        lfs = {"size": size, "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
        return {"rfilename": name, "size": size, "blobId": "0" * 40, "lfs": lfs}

    def send_file(self, name: str) -> None:
        content = self.server.files[name]
        part = self.headers.get("Range")
        self.server.requests.append((self.command, name, part))
        faults = self.server.faults.get(name, [])
        fault = faults.pop(0) if faults and self.command == "GET" else ""
        if fault.isdigit():
            return self.send(int(fault))
        start = int(part.removeprefix("bytes=").removesuffix("-")) if part else 0
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": REVISION,
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        if part:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = b"?" * len(content) if fault == "corrupt" else content[start:]
        self.send(206 if part else 200, body, headers, fault)

    def send(
        self, status: int, body: bytes = b"", headers: dict | None = None, fault: str = ""
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        incomplete = fault in ("break", "stall")
        self.wfile.write(body[: len(body) - 1000] if incomplete else body)
        if fault == "stall":
            self.server.stalled.set()
            self.server.release.wait(20)
        self.close_connection = incomplete


Hub.handler = Handler


def make_environment(url: str, home: Path) -> dict[str, str]:
    """Return the environment of a process that uses this server as the hub, offline by default."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_TOKEN": TOKEN,
        "no_proxy": "127.0.0.1",
    }
