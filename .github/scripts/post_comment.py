"""Post the review of a pull request as one comment, or update the one that stands there.

Usage: post_comment.py FOLDER, in a workflow that `workflow_run` started. FOLDER holds the files of
check_pull_request.py, which ran untrusted code: nothing in them is believed before it agrees with
the event and with GitHub's API. Only the standard library is imported, so nothing is installed
beside the token that may write.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "<!-- lockstep-review -->"
"""First line of our comment, which GitHub does not show."""
AUTHOR = "github-actions[bot]"
"""Author of the comments that a workflow's token posts; anybody can copy the marker."""
LONGEST_COMMENT = 65_000
"""Maximum number of characters; GitHub takes 65,536 with what is added here."""
PAGE = 100

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that reverse the direction of text."""


class RefusedError(Exception):
    """The artifact is not what the first workflow writes, or GitHub's API refused a request."""


@dataclass(frozen=True)
class Run:
    """The run of the first workflow, as the event describes it; GitHub wrote all of this."""

    head: str
    branch: str
    repository: str
    """Repository of the branch, which is a fork or our own."""
    url: str

    @classmethod
    def parse(cls, event: dict[str, Any]) -> "Run":
        """Return the run of a `workflow_run` event; it must have been started by a pull request."""
        run = event["workflow_run"]
        if run["event"] != "pull_request":
            raise RefusedError(f"the run was started by {run['event']}, not by a pull request")
        if run["head_repository"] is None:
            raise RefusedError("the repository of the branch no longer exists")
        repository = run["head_repository"]["full_name"]
        return cls(run["head_sha"], run["head_branch"], repository, run["html_url"])


@dataclass(frozen=True)
class Api:
    """The part of GitHub's REST API that we need, for one repository."""

    url: str
    repository: str
    token: str

    def request(self, method: str, path: str, data: dict[str, str] | None = None) -> Any:
        """Send a request and return the JSON of the answer."""
        request = urllib.request.Request(  # noqa: S310 - GITHUB_API_URL is the runner's
            f"{self.url}/repos/{self.repository}/{path}",
            method=method,
            data=None if data is None else json.dumps(data).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - see above
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise RefusedError(f"{method} {path}: {error.code} {error.reason}") from None
        except OSError as error:
            raise RefusedError(f"{method} {path}: no answer ({error})") from None

    def list_pull_requests(self, run: Run) -> list[int]:
        """Return the open pull requests whose newest commit is the one that ran."""
        owner = run.repository.partition("/")[0]
        query = urllib.parse.urlencode(
            {"state": "open", "head": f"{owner}:{run.branch}", "per_page": PAGE}
        )
        heads = {entry["number"]: entry["head"] for entry in self.request("GET", f"pulls?{query}")}
        return [
            number
            for number, head in heads.items()
            if head["sha"] == run.head and (head["repo"] or {}).get("full_name") == run.repository
        ]

    def list_comments(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield all comments of a pull request, the oldest first."""
        page = 0
        comments: list[dict[str, Any]] = [{}] * PAGE
        while len(comments) == PAGE:
            page += 1
            path = f"issues/{number}/comments?per_page={PAGE}&page={page}"
            comments = self.request("GET", path)
            yield from comments

    def write_comment(self, number: int, body: str) -> str:
        """Update our comment on a pull request or create it; return its address."""
        for comment in self.list_comments(number):
            if comment["user"]["login"] == AUTHOR and comment["body"].startswith(MARKER):
                path = f"issues/comments/{comment['id']}"
                return str(self.request("PATCH", path, {"body": body})["html_url"])
        path = f"issues/{number}/comments"
        return str(self.request("POST", path, {"body": body})["html_url"])


def read_file(file: Path) -> str:
    """Return the text of a file of the artifact; a link could lead to the runner's secrets."""
    if file.is_symlink() or not file.is_file():
        raise RefusedError(f"{file.name}: not a plain file")
    if file.stat().st_size > 4 * LONGEST_COMMENT:
        raise RefusedError(f"{file.name}: more than {4 * LONGEST_COMMENT:,} bytes")
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        raise RefusedError(f"{file.name}: not UTF-8") from None


def read_number(file: Path, run: Run, numbers: list[int]) -> int:
    """Return the number of the pull request, which must be one of this run's."""
    try:
        request = json.loads(read_file(file))
    except ValueError:
        raise RefusedError(f"{file.name}: not JSON") from None
    if not isinstance(request, dict) or request.keys() != {"number", "head"}:
        raise RefusedError(f"{file.name}: not an object with number and head")
    if request["head"] != run.head:
        raise RefusedError(f"{file.name}: the head is not {run.head}, which ran")
    if request["number"] not in numbers:
        raise RefusedError(f"{file.name}: the number is not that of a pull request of this run")
    return int(request["number"])


def read_comment(file: Path) -> str:
    """Return the comment without mentions, hidden text and control characters.

    GitHub looks for mentions after Markdown has decoded character references, `&#64;` among them.
    """
    text = _CONTROL.sub("", read_file(file)).replace("@", "@\u200b").replace("<!--", "&lt;!--")
    text = re.sub("&(?=#|commat)", "&amp;", text)
    if len(text) > LONGEST_COMMENT:
        raise RefusedError(f"{file.name}: more than {LONGEST_COMMENT:,} characters")
    return text


def post(folder: Path, run: Run, api: Api) -> Iterator[str]:
    """Write the comment of the run; yield a line for each comment that was written."""
    numbers = api.list_pull_requests(run)
    log = f"[the log]({run.url})"
    if not numbers:
        yield f"no open pull request has {run.head[:7]} as its newest commit; nothing to post"
    elif not folder.exists():
        for number in numbers:
            body = f"{MARKER}\nThe review of {run.head[:7]} did not finish; {log} says why.\n"
            yield api.write_comment(number, body)
    else:
        number = read_number(folder / "pull_request.json", run, numbers)
        note = (  # on top, where no unclosed tag of the comment hides it
            f"<sub>Computed by the code of this pull request at {run.head[:7]}, so review changes "
            f"of the checks, too; {log}.</sub>"
        )
        comment = read_comment(folder / "comment.md")
        yield api.write_comment(number, f"{MARKER}\n{note}\n\n{comment}\n")


def main(folder: Path) -> None:
    """Post the comment of the run that the event names."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    api = Api(*(os.environ[f"GITHUB_{name}"] for name in ("API_URL", "REPOSITORY", "TOKEN")))
    try:
        for line in post(folder, Run.parse(event), api):
            print(line)
    except RefusedError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: post_comment.py FOLDER")
    main(Path(sys.argv[1]))
