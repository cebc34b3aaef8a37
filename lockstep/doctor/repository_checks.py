"""Check git and DVC: cache, remote, dvc.lock against the workspace, outputs to push."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.doctor.finding import ERROR, OK, WARNING, Finding, list_names

TIMEOUT = 20
"""Maximum number of seconds for the answer of a remote."""

REMOTE_REPORT = """
import json
from dvc.repo import Repo
with Repo() as repo:
    storage = repo.cloud.get_remote_odb()
    exists = storage.fs.exists(storage.path)
    print(json.dumps([exists, repo.status(cloud=True)]))
"""
"""Program of a process of its own, which can be ended if the remote does not answer. DVC's status
alone asks the remote nothing as long as the cache is empty."""

MISSING = ("deleted", "not in cache")
"""DVC's words for a file that is not here; other words mean that it has changed."""


def check_repository(root: Path) -> Iterator[Finding]:
    """Yield the state of git and of DVC; without git, one line alone."""
    problem = describe_missing_git(root)
    if problem:
        yield Finding(ERROR, "git", *problem)
        return
    try:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
    except ImportError:  # the line about packages says it
        return
    try:
        with Repo(str(root)) as repo:
            yield check_links(repo)
            yield check_lock(repo.status())
            remotes, default = repo.config["remote"], repo.config["core"].get("remote")
    except DvcException as error:
        yield Finding(ERROR, "dvc", _join_lines(error), "repair it, then run `dvc status`")
        return
    yield from check_remote(root, remotes, default)


def describe_missing_git(root: Path) -> tuple[str, str] | None:
    """Return why git does not work in the folder and the remedy; None if it works."""
    command = ["git", "-C", str(root), "rev-parse", "--is-inside-work-tree"]
    try:
        result = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - fixed words
    except FileNotFoundError:
        return "git is not installed, and DVC needs it", "install git"
    if result.returncode == 0:
        return None
    reason = result.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
    return f"DVC needs a git repository: {reason}", "clone the repository with git"


def check_links(repo: Any) -> Finding:
    """Return how DVC puts files of its cache into the workspace."""
    from dvc_objects.fs.generic import test_links

    cache = repo.cache.local
    folder = next(path for path in (Path(cache.path), *Path(cache.path).parents) if path.exists())
    place = str(Path(repo.tmp_dir, "link"))  # the function links into the folder of its last path
    try:
        links = test_links(cache.cache_types, cache.fs, str(folder), repo.fs, place)
    except OSError as error:
        remedy = "make it writable for you, or choose another by `dvc cache dir`"
        return Finding(ERROR, "cache", f"{cache.path}: {error.strerror}", remedy)
    kind = links[0] if links else "copy"
    message = f"{kind} from {cache.path}"
    if kind != "copy":
        return Finding(OK, "cache", message)
    message = f"{message}, so every output is stored twice"
    remedy = (
        "move the cache to this file system (`dvc cache dir`), or allow links (`dvc config "
        "cache.type reflink,hardlink,symlink,copy`)"
    )
    return Finding(WARNING, "cache", message, remedy)


def check_lock(status: dict[str, list[Any]]) -> Finding:
    """Return whether dvc.lock describes the workspace; `status` is that of DVC, by stage."""
    changed = [stage for stage, reasons in status.items() if has_changed(reasons)]
    if changed:
        message = f"the workspace is not that of dvc.lock: {list_names(changed)}"
        return Finding(WARNING, "dvc.lock", message, "`dvc status` says why, `dvc repro` runs them")
    if status:
        message = f"the outputs of these stages are not here: {list_names([*status])}"
        remedy = "run `dvc pull` if there is a remote that has them, else `dvc repro`"
        return Finding(WARNING, "dvc.lock", message, remedy)
    return Finding(OK, "dvc.lock", "describes the workspace")


def has_changed(reasons: list[Any]) -> bool:
    """Whether a stage would run for another reason than that files are missing here."""
    return any(
        not isinstance(reason, dict)
        or any(state not in MISSING for paths in reason.values() for state in paths.values())
        for reason in reasons
    )


def check_remote(root: Path, remotes: dict[str, Any], default: str | None) -> Iterator[Finding]:
    """Yield whether the default remote answers and has all outputs that are here."""
    if default is None:
        names = f" (there are {list_names([*remotes])})" if remotes else ""
        message = f"no default remote{names}, so nobody else can get the outputs"
        yield Finding(WARNING, "remote", message, "run `dvc remote add --default NAME URL`")
        return
    url = remotes.get(default, {}).get("url", "")
    name = f"{default} ({url})"
    if "://" not in url and not Path(root / ".dvc" / url).is_dir():
        message = f"{name} is no folder here, or not mounted"
        yield Finding(ERROR, "remote", message, "mount or create it, or change `dvc remote`")
        return
    states = read_remote_states(root)
    if isinstance(states, str):
        message = f"{name} does not answer: {states}"
        remedy = "check network, credentials and `dvc remote list`"
        yield Finding(ERROR, "remote", message, remedy)
        return
    exists, outputs = states
    if exists:
        yield Finding(OK, "remote", f"{name} answers")
    else:
        message = f"{name} is empty or does not exist"
        yield Finding(WARNING, "remote", message, "compare its URL, then run `dvc push`")
    new = list_top_folders([path for path, state in outputs.items() if state == "new"])
    if new:
        message = f"not yet in the remote: {list_names(new)}"
        yield Finding(WARNING, "push", message, "run `dvc push`")
    elif exists:
        yield Finding(OK, "push", "the remote has all outputs that are here")


def read_remote_states(root: Path) -> tuple[bool, dict[str, str]] | str:
    """Return whether the remote's folder exists and the state of each output there.

    If the remote does not answer, the result is the reason.
    """
    command = [sys.executable, "-c", REMOTE_REPORT]
    try:
        result = subprocess.run(  # noqa: S603 - fixed words
            command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT} s"
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return lines[-1].strip()
    exists, outputs = json.loads(result.stdout)
    return exists, outputs


def list_top_folders(paths: list[str]) -> list[str]:
    """Return the paths that lie in no other path of the list."""
    names = set(paths)
    return sorted(
        path for path in paths if not names & {str(parent) for parent in Path(path).parents}
    )


def _join_lines(error: Exception) -> str:
    return " ".join(str(error).split())
