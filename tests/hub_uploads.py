"""The part of the hub's HTTP API by which huggingface_hub creates repositories and uploads files.

Large files follow the batch API of git LFS (https://github.com/git-lfs/git-lfs/tree/main/docs/api),
in one part or in several. The metadata of a card are checked as the hub's messages say.
"""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from tests.hub_server import TOKEN, Handler, Hub

PART_BYTES = 2**20
"""Larger files arrive in parts of this size."""
LICENCES = ("apache-2.0", "cc0-1.0", "mit", "unknown", "other")
COMMIT = "c0ffee" * 6 + "c0ff"


class UploadHub(Hub):
    """A hub with one repository that may be created and filled."""

    def __init__(self) -> None:
        self.repository: str | None = None
        """owner/name; None until it is created."""
        self.private = False
        self.stored: dict[str, bytes] = {}
        """SHA-256 of each large file that has arrived -> its bytes."""
        self.parts: dict[str, bytes] = {}
        """Parts of large files by their address."""
        self.puts: list[str] = []
        """SHA-256 of the file of each PUT."""
        self.messages: list[str] = []
        """Summaries of the commits."""
        self.refused: set[str] = set()
        """SHA-256 of the files whose upload fails once with status 400."""
        self.stalls_at = ""
        """SHA-256 of a file whose upload waits once until `release` is set."""
        self.bodies: list[bytes] = []
        """Body of each POST."""
        self.token = TOKEN
        """The token that may write."""
        super().__init__()


class UploadHandler(Handler):
    server: UploadHub

    def do_GET(self) -> None:  # noqa: N802 - the name is given by http.server
        path = urlsplit(self.path).path
        repository = self.server.repository
        if repository is None or not path.startswith(f"/api/models/{repository}"):
            return super().do_GET()
        if self.server.private and not self.may_write():
            return self.send(404, headers={"X-Error-Code": "RepoNotFound"})
        siblings = [{"rfilename": name} for name in self.server.files]
        info = {"id": repository, "private": self.server.private, "sha": COMMIT}
        self.reply({**info, "siblings": siblings})

    def do_POST(self) -> None:  # noqa: N802 - the name is given by http.server
        path = urlsplit(self.path).path
        body = self.read_body()
        self.server.bodies.append(body)
        if path == "/api/validate-yaml":
            return self.validate(json.loads(body)["content"])
        if path.startswith("/lfs/join/"):  # an address that gives the right by itself
            return self.join(path.rsplit("/", 1)[1], json.loads(body)["parts"])
        if not self.may_write():
            return self.send(403, b'{"error": "not allowed"}')
        prefix = f"/api/models/{self.server.repository}"
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == f"{prefix}/preupload/main":
            self.reply({"files": [self.choose_mode(file) for file in json.loads(body)["files"]]})
        elif path == f"/{self.server.repository}.git/info/lfs/objects/batch":
            objects = [self.plan_upload(item) for item in json.loads(body)["objects"]]
            self.reply({"transfer": "basic", "objects": objects})
        elif path == f"{prefix}/commit/main":
            self.commit([json.loads(line) for line in body.splitlines()])
        else:
            self.send(404)

    def do_PUT(self) -> None:  # noqa: N802 - the name is given by http.server
        """Store a file or a part; as on the hub, the address alone gives the right."""
        path = urlsplit(self.path).path
        digest, body = path.split("/")[2], self.read_body()
        if digest in self.server.refused:
            self.server.refused.remove(digest)
            return self.send(400)
        if digest == self.server.stalls_at:
            self.server.stalls_at = ""
            self.server.stalled.set()
            self.server.release.wait(20)
            self.close_connection = True
            return
        self.server.puts.append(digest)
        self.server.parts[path] = body
        if path == f"/lfs/{digest}":
            self.store(digest, body)
        self.send(200, headers={"ETag": hashlib.md5(body, usedforsecurity=False).hexdigest()})

    def may_write(self) -> bool:
        self.server.tokens.add(self.headers.get("Authorization"))
        return self.headers.get("Authorization") == f"Bearer {self.server.token}"

    def read_body(self) -> bytes:
        """Return the body, which a client may send in chunks."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def reply(self, value: Any, status: int = 200) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def create(self, request: dict[str, Any]) -> None:
        name = f"{request['organization']}/{request['name']}"
        url = {"url": f"{self.server.url}/{name}"}
        if self.server.repository == name:
            return self.reply({"error": "You already created this model repo", **url}, 409)
        self.server.repository = name
        self.server.private = request.get("visibility") == "private"
        self.reply(url)

    def choose_mode(self, file: dict[str, Any]) -> dict[str, Any]:
        large = file["path"].endswith((".safetensors", ".gguf"))
        return {
            "path": file["path"],
            "uploadMode": "lfs" if large else "regular",
            "shouldIgnore": False,
        }

    def plan_upload(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return where the client must send a large file; nowhere if it is already there."""
        digest, size = item["oid"], item["size"]
        if digest in self.server.stored:
            return {"oid": digest, "size": size}
        if size <= PART_BYTES:
            action: dict[str, Any] = {"href": f"{self.server.url}/lfs/{digest}"}
        else:
            count = -(-size // PART_BYTES)
            urls = {str(n): f"{self.server.url}/lfs/{digest}/{n}" for n in range(1, count + 1)}
            header = {"chunk_size": str(PART_BYTES), **urls}
            action = {"href": f"{self.server.url}/lfs/join/{digest}", "header": header}
        return {"oid": digest, "size": size, "actions": {"upload": action}}

    def join(self, digest: str, parts: list[dict[str, Any]]) -> None:
        numbers = [part["partNumber"] for part in parts]
        self.store(digest, b"".join(self.server.parts[f"/lfs/{digest}/{n}"] for n in numbers))
        self.reply({})

    def store(self, digest: str, body: bytes) -> None:
        assert hashlib.sha256(body).hexdigest() == digest
        self.server.stored[digest] = body

    def commit(self, lines: list[dict[str, Any]]) -> None:
        """Add the files of a commit; a large file must have arrived before."""
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.server.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
        self.server.files |= files
        url = f"{self.server.url}/{self.server.repository}/commit/{COMMIT}"
        self.reply({"commitUrl": url, "commitOid": COMMIT})

    def validate(self, content: str) -> None:
        errors = list_card_errors(content)
        status = 400 if errors else 200
        self.reply({"errors": [{"message": error} for error in errors], "warnings": []}, status)


def list_card_errors(content: str) -> list[str]:
    """Return what the hub finds wrong in the metadata of a model card."""
    block = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    values = YAML(typ="safe", pure=True).load(block[1]) if block else None
    if not isinstance(values, dict):
        return ["empty or missing yaml metadata in repo card"]
    errors = []
    licences = values.get("license", [])
    for licence in licences if isinstance(licences, list) else [licences]:
        if licence not in LICENCES:
            errors.append(f'"license" must be one of [{", ".join(LICENCES)}]')
    if not all(isinstance(tag, str) for tag in values.get("tags", [])):
        errors.append('"tags" must be an array of strings')
    base = values.get("base_model", "owner/name")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        errors.append('"base_model" must be a model id')
    for number, entry in enumerate(values.get("model-index", [])):
        for result in entry.get("results", [{}]):
            complete = (
                entry.get("name")
                and result.get("task", {}).get("type")
                and {"type", "name"} <= result.get("dataset", {}).keys()
                and all({"type", "value"} <= metric.keys() for metric in result["metrics"])
            )
            if not complete:
                errors.append(f'"model-index[{number}]" has an incomplete result')
    return errors


UploadHub.handler = UploadHandler
