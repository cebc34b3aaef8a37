"""What an earlier commit's model answered: git knows the commit, DVC's cache or remote the file."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from stages.errors import Refusal
from stages.scoring import predictions
from stages.scoring.predictions import Prediction
from verify.clone import git


def revision(named: str | None) -> str:
    """The full hash of the commit that is named, by default the one before the results at hand:
    HEAD where they are not committed yet."""
    root = Path()
    if named is None:
        named = "HEAD" if git(root, "status", "--porcelain", "dvc.lock") else "HEAD~1"
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}").strip()
    except subprocess.CalledProcessError:
        raise Refusal(f"{named}: no such commit; name one by REVISION=…") from None


def read(variant: str, commit: str) -> list[Prediction]:
    """A variant's predictions at a commit."""
    import dvc.api
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    path = f"data/evaluated/{variant}/predictions.jsonl"
    try:
        with dvc.api.open(path, rev=commit, encoding="utf-8") as stream:
            return predictions.parse(stream)
    except ValueError as error:
        raise Refusal(f"{path} at {commit[:7]}: {error}; name a later commit") from None
    except (DvcException, DataIndexDirError, FileNotFoundError) as error:
        reason = " ".join(str(error).split())[:160]
        raise Refusal(
            f"{path} at {commit[:7]}: not to be had ({reason}); `dvc fetch --all-commits`, or name "
            "a commit whose results are in the cache by REVISION=…"
        ) from None


def shared(
    now: Sequence[Prediction], before: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """The predictions of the records that both have, in one order."""
    old = {row.id: row for row in before}
    both = [row for row in now if row.id in old]
    return both, [old[row.id] for row in both]
