"""A clone of a commit, run from nothing in an environment unlike its author's."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HOOK = Path(__file__).with_name("hook")

PASSED_ON = ("CUDA", "HF_ENDPOINT", "HF_TOKEN", "LD_LIBRARY_PATH", "NVIDIA", "SSL_CERT")
"""Beginnings of the variables that a clone keeps: hardware and the way to the hub."""


@dataclass(frozen=True)
class Surroundings:
    """What differs from one clone to the next and must not matter."""

    name: str
    """Of the clone's folder, of another length each."""
    zone: str
    locale: str
    umask: int
    hash_seed: str


AWAY = Surroundings("one", "Pacific/Kiritimati", "C", 0o077, "4201")
FAR_AWAY = Surroundings("a/second one", "America/St_Johns", "C.UTF-8", 0o022, "1")


@dataclass(frozen=True)
class Clone:
    """A clone below a temporary folder, with a HOME, caches and logs of its own."""

    folder: Path
    surroundings: Surroundings

    @property
    def root(self) -> Path:
        return self.folder / "repository"

    @property
    def logs(self) -> Path:
        return self.folder / "accesses"

    @property
    def cache(self) -> Path:
        return self.root / ".dvc" / "cache"

    def lock(self) -> dict[str, Any]:
        return read_lock((self.root / "dvc.lock").read_text(encoding="utf-8"))

    def reproduce(self) -> bool:
        """Run `dvc repro` from nothing, its output on stderr; whether it came to its end."""
        (self.root / "dvc.lock").unlink()
        return self._run(sys.executable, "-m", "dvc", "repro").returncode == 0

    def _run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603
            command, cwd=self.root, env=self._environment(), umask=self.surroundings.umask,
            stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False,
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        proxies = ("http_proxy", "https_proxy", "no_proxy")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(PASSED_ON) or name.lower() in proxies
        }
        return kept | {
            "PATH": os.pathsep.join([f"{sys.prefix}/bin", os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "temporary"),
            "TZ": self.surroundings.zone,
            "LANG": self.surroundings.locale,
            "LC_ALL": self.surroundings.locale,
            "PYTHONHASHSEED": self.surroundings.hash_seed,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(HOOK),
            "DVC_SITE_CACHE_DIR": str(self.folder / "site"),
            "DVC_NO_ANALYTICS": "1",
            "VERIFY_ROOT": str(self.root),
            "VERIFY_LOG": str(self.logs),
        }


def clone(source: Path, commit: str, scratch: Path, surroundings: Surroundings) -> Clone:
    """Clone one commit of the repository `source` to a folder below `scratch`."""
    made = Clone(scratch.resolve() / surroundings.name, surroundings)
    for name in ("home", "temporary", "site", "accesses"):
        (made.folder / name).mkdir(parents=True)
    git(source, "clone", "--quiet", "--no-checkout", str(source), str(made.root))
    subprocess.run(  # noqa: S603
        ["git", "checkout", "--quiet", "--detach", commit],  # noqa: S607
        cwd=made.root,
        umask=surroundings.umask,
        check=True,
    )
    private = f"['cache']\n    dir = {made.cache}\n"
    (made.root / ".dvc" / "config.local").write_text(private, encoding="utf-8")
    return made


def git(root: Path, *arguments: str) -> str:
    """What git says on stdout; raises CalledProcessError where it fails."""
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=root,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return done.stdout


def read_lock(text: str) -> dict[str, Any]:
    """The stages of a dvc.lock."""
    return dict(YAML(typ="safe", pure=True).load(text).get("stages", {}))
