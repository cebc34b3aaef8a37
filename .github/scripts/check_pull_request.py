"""Check a pull request and write the comment that reviewers will read into a folder.

Usage: check_pull_request.py BASE FOLDER, in the root of the checkout; BASE is the commit to compare
with. This runs the pull request's own code, so it must run without any secret and with a token that
cannot write. post_comment.py posts the folder's files later. Exits with 1 if a check failed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LONGEST_OUTPUT = 1_200
"""Maximum number of characters that the comment shows of a failed check's output."""
LONGEST_REVIEW = 60_000
"""Maximum number of characters of the review; GitHub takes 65,536 for the whole comment."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Check:
    """One check of a pull request and its command."""

    name: str
    """Subject of the check, as the comment calls it."""
    command: tuple[str, ...]
    is_review: bool = False
    """Whether the command's stdout is the review in Markdown."""


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a check."""

    check: Check
    code: int
    output: str

    @property
    def passed(self) -> bool:
        """Whether the command succeeded."""
        return self.code == 0


def list_checks(base: str) -> list[Check]:
    """Return the checks of a pull request on the commit `base`, the quick ones first."""
    python = sys.executable
    return [
        Check("dvc.lock", (python, "-m", "lockstep.review.lock_status")),
        Check("review and gates", (python, "-m", "lockstep.review", base), is_review=True),
        Check("lint", ("make", "lint")),
        Check("tests", ("make", "test")),
    ]


def run_check(check: Check) -> Outcome:
    """Run a check; copy its output to the log while it runs."""
    print(f"::group::{check.name}", flush=True)
    error = None if check.is_review else subprocess.STDOUT
    with subprocess.Popen(  # noqa: S603 - commands of this script
        check.command, stdout=subprocess.PIPE, stderr=error, encoding="utf-8", errors="replace"
    ) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    print("::endgroup::", flush=True)
    return Outcome(check, process.returncode, _ANSI.sub("", "".join(lines)).strip())


def format_comment(outcomes: Iterable[Outcome]) -> str:
    """Return the comment: a warning if a check failed, the review, a table of the checks."""
    outcomes = list(outcomes)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    parts = []
    if failed:
        names = ", ".join(outcome.check.name for outcome in failed)
        parts.append(f"> [!WARNING]\n> Failed: {names}. The table at the end says why.")
    for outcome in outcomes:
        if outcome.check.is_review:
            parts.append(_format_review(outcome))
    rows = [f"| {o.check.name} | {'passed' if o.passed else '**failed**'} |" for o in outcomes]
    parts.append("\n".join(["### Checks", "", "| check | result |", "|---|---|", *rows]))
    parts += [_format_failure(outcome) for outcome in failed if not outcome.check.is_review]
    return "\n\n".join(parts) + "\n"


def _format_review(outcome: Outcome) -> str:
    text = outcome.output
    if not text:
        return f"The review printed nothing (exit code {outcome.code}); the log says why."
    if len(text) > LONGEST_REVIEW:
        return f"{text[:LONGEST_REVIEW]}\n\nThe rest is in the log: the review is too long to post."
    return text


def _format_failure(outcome: Outcome) -> str:
    """Return the end of a failed check's output as a block of code."""
    text = re.sub("`{9,}", "`" * 8, outcome.output[-LONGEST_OUTPUT:])  # the fence stays short
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    command = " ".join(outcome.check.command[1:] if outcome.check.command[0] == sys.executable
                       else outcome.check.command)  # fmt: skip
    summary = f"{outcome.check.name}: exit code {outcome.code} of <code>{command}</code>"
    return f"<details><summary>{summary}</summary>\n\n{fence}text\n{text}\n{fence}\n\n</details>"


def main(base: str, folder: Path) -> int:
    """Run all checks, write the comment and what identifies the pull request; return exit code."""
    outcomes = [run_check(check) for check in list_checks(base)]
    comment = format_comment(outcomes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comment.md").write_text(comment, encoding="utf-8")
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    request = {"number": event["number"], "head": event["pull_request"]["head"]["sha"]}
    (folder / "pull_request.json").write_text(json.dumps(request), encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:  # readable also where no second workflow posts the comment
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(comment)
    return int(not all(outcome.passed for outcome in outcomes))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: check_pull_request.py BASE FOLDER")
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
