"""Files of a commit or of the workspace, and the commit at which a branch starts."""

import functools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from lockstep.errors import UserError
from lockstep.verify.clone import run_git


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files of one side of a comparison."""

    root: Path
    commit: str | None = None
    """Hash of a commit; None is the workspace."""

    @property
    def name(self) -> str:
        """Short hash, or what stands for the workspace."""
        return self.commit[:7] if self.commit else "the workspace"

    def read(self, path: str) -> str | None:
        """Return the text of a file; None if there is none."""
        try:
            if self.commit is None:
                return (self.root / path).read_text(encoding="utf-8")
            return run_git(self.root, "show", f"{self.commit}:{path}")
        except (FileNotFoundError, subprocess.CalledProcessError):
            return None
        except UnicodeDecodeError:
            raise UserError(f"{path} of {self.name}: not UTF-8; restore the file") from None

    def read_json(self, path: str) -> dict[str, Any]:
        """Return a JSON object; {} if there is no file."""
        text = self.read(path)
        try:
            values = json.loads(text) if text else {}
        except ValueError as error:
            raise UserError(
                f"{path} of {self.name}: not JSON ({error}); restore the file"
            ) from None
        return self._check_mapping(path, values)

    def read_yaml(self, path: str) -> dict[str, Any]:
        """Return a YAML 1.2 mapping; {} if there is no file."""
        text = self.read(path)
        try:
            values = _parse_yaml(text) if text else None
        except YAMLError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{path} of {self.name}: not YAML ({reason}); restore the file"
            ) from None
        return self._check_mapping(path, {} if values is None else values)

    def read_lock(self) -> dict[str, Any]:
        """Return the stages in dvc.lock; {} if there is no file."""
        return dict(self.read_yaml("dvc.lock").get("stages") or {})

    def list_files(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder, sorted."""
        if self.commit is None:
            files = (self.root / folder).glob("*")
            return sorted(f"{folder}/{file.name}" for file in files if file.is_file())
        names = run_git(self.root, "ls-tree", "-z", "--name-only", self.commit, f"{folder}/")
        return sorted(name for name in names.split("\0") if name)

    def _check_mapping(self, path: str, values: Any) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise UserError(f"{path} of {self.name}: not a mapping; restore the file")
        return values


@functools.lru_cache(maxsize=8)  # a lock takes 0.2 s, and several parts of a review read it
def _parse_yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def find_base(root: Path, revision: str | None) -> str:
    """Return the hash of the commit to compare with: where this branch left `revision`.

    Without a revision, it is the commit before the current results: HEAD if dvc.lock has
    uncommitted changes, else the parent of the commit that last changed dvc.lock. Raise UserError
    with the command that fetches what is missing.
    """
    if not _has_commit(root, "HEAD"):
        raise UserError(
            "no commit here; run `git commit`, or run this in a clone of the repository"
        )
    name = revision or _find_earlier_results(root)
    if not _has_commit(root, name):
        raise UserError(_describe_missing(root, name))
    try:
        return run_git(root, "merge-base", name, "HEAD").strip()
    except subprocess.CalledProcessError:
        if is_shallow(root):
            raise UserError(
                f"{name}: this shallow clone lacks the commit at which the branches part; run "
                "`git fetch --unshallow`"
            ) from None
        raise UserError(f"{name}: no commit in common with HEAD; name another BASE") from None


def resolve(root: Path, name: str) -> str:
    """Return the full hash of a commit."""
    return run_git(root, "rev-parse", "--verify", f"{name}^{{commit}}").strip()


def is_shallow(root: Path) -> bool:
    """Whether git has only a part of the history."""
    return run_git(root, "rev-parse", "--is-shallow-repository").strip() == "true"


def list_changed_lines(root: Path, base: str, *paths: str) -> Iterator[tuple[str, int, int]]:
    """Yield (file, lines added, lines removed) since a commit; a binary file has -1 for both."""
    output = run_git(root, "diff", "--numstat", "--no-renames", "-z", base, "--", *paths)
    for entry in output.split("\0"):
        if entry:
            added, removed, file = entry.split("\t", 2)
            is_text = added != "-"
            yield file, int(added) if is_text else -1, int(removed) if is_text else -1


def _find_earlier_results(root: Path) -> str:
    if run_git(root, "status", "--porcelain", "dvc.lock"):
        return "HEAD"
    last = run_git(root, "log", "-1", "--format=%H", "--", "dvc.lock").strip()
    if not last or not _has_commit(root, f"{last}~1"):
        more = "run `git fetch --unshallow`, or " if is_shallow(root) else ""
        raise UserError(f"no commit before these results; {more}name a commit by BASE=…")
    return f"{last}~1"


def _has_commit(root: Path, name: str) -> bool:
    try:
        run_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        return False
    return True


def _describe_missing(root: Path, name: str) -> str:
    remote, _, branch = name.partition("/")
    if branch and remote in run_git(root, "remote").split():  # a clone may fetch one branch alone
        deepen = "--unshallow " if is_shallow(root) else ""
        command = f"git fetch {deepen}{remote} +{branch}:refs/remotes/{name}"
        return f"{name}: no such commit here; run `{command}`"
    if is_shallow(root):
        return f"{name}: not in this shallow clone; run `git fetch --unshallow --all`"
    return f"{name}: no such commit; name a branch, a tag or a hash by BASE=…"
