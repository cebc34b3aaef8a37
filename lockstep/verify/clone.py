"""Clone a commit and run its pipeline from nothing, in an environment unlike its author's."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HOOK = Path(__file__).with_name("hook")
"""Folder of sitecustomize.py, which logs what a stage accesses."""

INHERITED_PREFIXES = (
    "CUDA", "HF_ENDPOINT", "HF_TOKEN", "LD_LIBRARY_PATH", "NVIDIA", "OPENAI_API_KEY", "SSL_CERT",
)  # fmt: skip
"""Prefixes of the environment variables that a clone inherits: hardware, hub and endpoints."""


@dataclass(frozen=True)
class Environment:
    """Settings that differ between two clones and must not change any byte."""

    folder: str
    """Name of the clone's folder; names differ in length, so that paths do too."""
    time_zone: str
    locale: str
    umask: int
    hash_seed: str


FIRST = Environment("one", "Pacific/Kiritimati", "C", 0o077, "4201")
SECOND = Environment("a/second one", "America/St_Johns", "C.UTF-8", 0o022, "1")


@dataclass(frozen=True)
class Clone:
    """A clone in a temporary folder that also holds its HOME, caches and logs."""

    folder: Path
    environment: Environment

    @property
    def root(self) -> Path:
        """Root of the cloned repository."""
        return self.folder / "repository"

    @property
    def logs(self) -> Path:
        """Folder of the logs of accesses, one file for each stage."""
        return self.folder / "accesses"

    @property
    def cache(self) -> Path:
        """DVC cache of the clone."""
        return self.root / ".dvc" / "cache"

    def read_lock(self) -> dict[str, Any]:
        """Return the stages in the dvc.lock of the clone."""
        return parse_lock((self.root / "dvc.lock").read_text(encoding="utf-8"))

    def reproduce(self) -> bool:
        """Run `dvc repro` from nothing with its output on stderr; return whether it succeeded."""
        (self.root / "dvc.lock").unlink()
        process = subprocess.run(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=self.root, env=self.build_variables(), umask=self.environment.umask,
            stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False,
        )  # fmt: skip
        return process.returncode == 0

    def build_variables(self) -> dict[str, str]:
        """Return the environment variables under which the clone runs."""
        proxies = ("http_proxy", "https_proxy", "no_proxy")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(INHERITED_PREFIXES) or name.lower() in proxies
        }
        return inherited | {
            "PATH": os.pathsep.join([f"{sys.prefix}/bin", os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "temporary"),
            "TZ": self.environment.time_zone,
            "LANG": self.environment.locale,
            "LC_ALL": self.environment.locale,
            "PYTHONHASHSEED": self.environment.hash_seed,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(HOOK),
            "DVC_SITE_CACHE_DIR": str(self.folder / "site"),
            "DVC_NO_ANALYTICS": "1",
            "VERIFY_ROOT": str(self.root),
            "VERIFY_LOG": str(self.logs),
        }


def clone_commit(source: Path, commit: str, scratch: Path, environment: Environment) -> Clone:
    """Clone one commit of the repository `source` into a folder below `scratch`."""
    clone = Clone(scratch.resolve() / environment.folder, environment)
    for name in ("home", "temporary", "site", "accesses"):
        (clone.folder / name).mkdir(parents=True)
    run_git(source, "clone", "--quiet", "--no-checkout", str(source), str(clone.root))
    subprocess.run(  # noqa: S603 - git alone
        ["git", "checkout", "--quiet", "--detach", commit],  # noqa: S607 - the git of PATH
        cwd=clone.root,
        umask=environment.umask,
        check=True,
    )
    cache = f"['cache']\n    dir = {clone.cache}\n"
    (clone.root / ".dvc" / "config.local").write_text(cache, encoding="utf-8")
    return clone


def run_git(root: Path, *arguments: str) -> str:
    """Run git in `root` and return its stdout; raises CalledProcessError if it fails."""
    process = subprocess.run(  # noqa: S603 - git alone
        ["git", *arguments],  # noqa: S607 - the git of PATH
        cwd=root,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return process.stdout


def parse_lock(text: str) -> dict[str, Any]:
    """Return the stages in the text of a dvc.lock."""
    return dict(YAML(typ="safe", pure=True).load(text).get("stages", {}))
