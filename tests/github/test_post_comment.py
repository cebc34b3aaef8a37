"""post_comment.py against a local server: one comment, and nothing that an artifact alone says."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tests.conftest import REPOSITORY as ROOT
from tests.github_server import BOT, REPOSITORY, TOKEN, GitHub

HEAD, OTHER = "a1b2c3d" + "0" * 33, "9f8e7d6" + "0" * 33
FORK, BRANCH = "stranger/project", "better-data"
MARKER = "<!-- lockstep-review -->"

Post = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[GitHub]:
    """GitHub with pull request 7 from a fork and pull request 8 of somebody else."""
    with GitHub() as server:
        server.start()
        server.add_pull_request(7, HEAD, BRANCH, FORK)
        server.add_pull_request(8, OTHER, BRANCH, "other/project")
        yield server
        server.shutdown()


@pytest.fixture
def post(server: GitHub, tmp_path: Path) -> Post:
    """A function that runs the script on an artifact and returns the process."""

    def run(
        comment: str | bytes = "## Ship\n",
        request: Any = None,
        *, artifact: bool = True, token: str = TOKEN, started_by: str = "pull_request",
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        folder = tmp_path / "review"
        if artifact:
            folder.mkdir(exist_ok=True)
            data = comment.encode() if isinstance(comment, str) else comment
            if not (folder / "comment.md").is_symlink():
                (folder / "comment.md").write_bytes(data)
            request = request or {"number": 7, "head": HEAD}
            (folder / "pull_request.json").write_text(json.dumps(request))
        workflow_run = {
            "event": started_by, "head_sha": HEAD, "head_branch": BRANCH,
            "head_repository": {"full_name": FORK}, "html_url": "https://github.com/run/1",
        }  # fmt: skip
        (tmp_path / "event.json").write_text(json.dumps({"workflow_run": workflow_run}))
        environment = {
            "PATH": os.environ["PATH"], "GITHUB_API_URL": server.url, "GITHUB_TOKEN": token,
            "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-I", ROOT / ".github/scripts/post_comment.py", folder],
            env=environment, cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip

    return run


def list_bodies(server: GitHub, number: int = 7) -> list[str]:
    return [entry["body"] for entry in server.comments if entry["issue"] == number]


def test_the_first_run_creates_a_comment_and_the_next_updates_it(
    post: Post, server: GitHub
) -> None:
    assert post("## Ship\n").returncode == 0
    assert post("## Do not ship\n").returncode == 0
    (body,) = list_bodies(server)
    assert body.startswith(f"{MARKER}\n") and "\n\n## Do not ship\n" in body
    assert "a1b2c3d" in body and "https://github.com/run/1" in body
    assert not list_bodies(server, 8)


def test_only_the_bot_s_own_comment_is_updated_and_found_behind_hundred_others(
    post: Post, server: GitHub
) -> None:
    copied = server.add_comment(7, "stranger", f"{MARKER}\nThe marker, copied")
    for number in range(250):
        server.add_comment(7, "colleague", f"Remark {number}")
    ours = server.add_comment(7, BOT, f"{MARKER}\nOld")
    other_workflow = server.add_comment(7, BOT, "Coverage: 90%")
    assert post("New\n").returncode == 0
    assert ours["body"].startswith(f"{MARKER}\n") and "New\n" in ours["body"]
    assert copied["body"].endswith("copied") and other_workflow["body"] == "Coverage: 90%"
    assert len(server.comments) == 253


@pytest.mark.parametrize(
    ("comment", "request_", "error"),
    [
        ("x" * 65_001, None, "comment.md: more than 65,000 characters"),
        ("x" * 300_000, None, "comment.md: more than 260,000 bytes"),
        (b"\xff\xfe", None, "comment.md: not UTF-8"),
        ("Ship", {"number": 8, "head": HEAD}, "pull_request.json: the number is not that"),
        ("Ship", {"number": 8, "head": OTHER}, f"pull_request.json: the head is not {HEAD}"),
        ("Ship", {"number": "7", "head": HEAD}, "pull_request.json: the number is not that"),
        ("Ship", {"number": 7, "head": HEAD, "x": 1}, "pull_request.json: not an object with"),
        ("Ship", ["7"], "pull_request.json: not an object with"),
    ],
)
def test_an_artifact_that_does_not_agree_is_refused(
    post: Post, server: GitHub, comment: str | bytes, request_: Any, error: str
) -> None:
    process = post(comment, request_)
    assert process.returncode == 1
    assert process.stderr.startswith(f"error: {error}")
    assert not server.comments


def test_a_link_to_a_file_of_the_runner_is_refused(
    post: Post, server: GitHub, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("the token")
    (tmp_path / "review").mkdir()
    (tmp_path / "review/comment.md").symlink_to(tmp_path / "secret")
    process = post()
    assert (process.returncode, server.comments) == (1, [])
    assert process.stderr == "error: comment.md: not a plain file\n"


def test_a_run_of_an_older_commit_or_of_another_fork_posts_nothing(
    post: Post, server: GitHub
) -> None:
    server.pull_requests[0]["head"]["sha"] = OTHER
    server.add_pull_request(9, HEAD, BRANCH, "stranger/another-project")
    process = post()
    assert process.returncode == 0
    assert process.stdout.startswith("no open pull request has a1b2c3d")
    assert not server.comments


def test_a_closed_pull_request_gets_no_comment(post: Post, server: GitHub) -> None:
    server.pull_requests[0]["state"] = "closed"
    assert post().returncode == 0
    assert not server.comments


def test_a_run_without_an_artifact_replaces_the_old_verdict(post: Post, server: GitHub) -> None:
    old = server.add_comment(7, BOT, f"{MARKER}\n## Ship\n")
    assert post(artifact=False).returncode == 0
    assert "did not finish" in old["body"] and "Ship" not in old["body"]


def test_mentions_hidden_text_and_control_characters_are_taken_out(
    post: Post, server: GitHub
) -> None:
    post("Ping @team/all <!-- lockstep-review --> \x1b[31mred\x00 \u202ereversed, 中文\n"
         "&#64;team &#x40;team &commat;team @&#116;eam &amp;\n")  # fmt: skip
    (body,) = list_bodies(server)
    text = body.removeprefix(f"{MARKER}\n")
    shown = html.unescape(MarkdownIt().render(text))  # GitHub looks for mentions in this text
    assert not re.search(r"@\w", shown) and "eam &\n" in shown.replace("</p>", "\n")
    assert "@team" not in text and "team/all" in text
    assert "<!--" not in text
    assert not {"\x1b", "\x00", "\u202e"} & set(text)
    assert "中文" in text


def test_no_unclosed_tag_of_a_comment_hides_whose_code_computed_it(
    post: Post, server: GitHub
) -> None:
    post("Ship<details><summary>x</summary>\n\n```\n")
    (body,) = list_bodies(server)
    assert body.index("Computed by the code of this pull request") < body.index("Ship")


def test_a_token_without_rights_is_reported(post: Post) -> None:
    process = post(token="wrong")
    assert process.returncode == 1
    assert "401" in process.stderr and "wrong" not in process.stderr


def test_a_server_that_does_not_answer_is_one_line(post: Post, server: GitHub) -> None:
    server.shutdown()
    server.server_close()
    process = post()
    assert process.returncode == 1
    assert process.stderr.startswith("error: GET pulls?") and process.stderr.count("\n") == 1


def test_a_run_that_no_pull_request_started_is_refused(post: Post, server: GitHub) -> None:
    process = post(started_by="push")
    assert process.returncode == 1 and not server.requests
