"""A local server with the part of GitHub's REST API for pull requests and comments."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY, TOKEN = "team/project", "ghs_a_secret_token"
BOT = "github-actions[bot]"


class GitHub(ThreadingHTTPServer):
    """Pull requests and comments of one repository, as GitHub's API answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pull_requests: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.requests: list[str] = []
        """Method and path of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def add_pull_request(self, number: int, head: str, branch: str, repository: str) -> None:
        source = {"sha": head, "ref": branch, "repo": {"full_name": repository}}
        self.pull_requests.append({"number": number, "state": "open", "head": source})

    def add_comment(self, number: int, author: str, body: str) -> dict[str, Any]:
        comment = {
            "id": 100 + len(self.comments),
            "user": {"login": author},
            "body": body,
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}",
            "issue": number,
        }
        self.comments.append(comment)
        return comment


class Handler(BaseHTTPRequestHandler):
    """Answers as GitHub documents it: lists come in pages, writes need the token."""

    server: GitHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(length) or "null")
        self.server.requests.append(f"{self.command} {address.path}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"message": "Bad credentials"})
        prefix = f"/repos/{REPOSITORY}/"
        if not address.path.startswith(prefix):
            return self.answer(404, {"message": "Not Found"})
        path = address.path.removeprefix(prefix)
        if self.command == "GET" and path == "pulls":
            return self.answer(200, self.list_pull_requests(query))
        if match := re.fullmatch(r"issues/(\d+)/comments", path):
            return self.answer_comments(int(match[1]), query, data)
        if (match := re.fullmatch(r"issues/comments/(\d+)", path)) and self.command == "PATCH":
            return self.update_comment(int(match[1]), data)
        return self.answer(404, {"message": "Not Found"})

    do_GET = do_POST = do_PATCH = handle_request  # noqa: N815 - the base class looks these up

    def list_pull_requests(self, query: dict[str, str]) -> list[dict[str, Any]]:
        return [
            pull
            for pull in self.server.pull_requests
            if query.get("state", "open") in ("all", pull["state"])
            and query.get("head") in (
                None, f"{pull['head']['repo']['full_name'].split('/')[0]}:{pull['head']['ref']}"
            )
        ]  # fmt: skip

    def answer_comments(self, number: int, query: dict[str, str], data: Any) -> None:
        if self.command == "POST":
            return self.answer(201, self.server.add_comment(number, BOT, data["body"]))
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        comments = [entry for entry in self.server.comments if entry["issue"] == number]
        return self.answer(200, comments[(page - 1) * size : page * size])

    def update_comment(self, identifier: int, data: Any) -> None:
        for comment in self.server.comments:
            if comment["id"] == identifier:
                comment["body"] = data["body"]
                return self.answer(200, comment)
        return self.answer(404, {"message": "Not Found"})
