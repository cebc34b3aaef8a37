"""What an earlier commit's model answered: git knows the commit, DVC's cache or remote the file."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import Prediction
from lockstep.verify.clone import run_git


def revision(named: str | None) -> str:
    """The full hash of the commit that is named, by default the one before the results at hand:
    HEAD where they are not committed yet, else the one before dvc.lock changed last."""
    root, given = Path(), named is not None
    try:
        if named is None:
            named = "HEAD"
            if not run_git(root, "status", "--porcelain", "dvc.lock"):
                named = run_git(root, "log", "-1", "--format=%H", "--", "dvc.lock").strip() + "~1"
        return run_git(root, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}").strip()
    except subprocess.CalledProcessError:
        missing = f"{named}: no such commit" if given else "no commit has results before these"
        raise UserError(f"{missing}; name one by REVISION=…") from None


def read(variant: str, commit: str) -> list[Prediction]:
    """A variant's predictions at a commit."""
    import dvc.api
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    path = f"data/predicted/{variant}/predictions.jsonl"
    try:
        with dvc.api.open(path, rev=commit, encoding="utf-8") as stream:
            return predictions.parse(stream)
    except ValueError as error:
        raise UserError(f"{path} at {commit[:7]}: {error}; name a later commit") from None
    except (DvcException, DataIndexDirError, FileNotFoundError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{path} at {commit[:7]}: not to be had ({reason}); `dvc fetch --all-commits`, or name "
            "a commit whose results are in the cache by REVISION=…"
        ) from None


def shared(
    now: Sequence[Prediction], before: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """The predictions of the records that both have and were asked alike, in one order."""
    old = {row.id: row for row in before}
    both = [row for row in now if row.id in old and _alike(row, old[row.id])]
    return both, [old[row.id] for row in both]


def _alike(one: Prediction, other: Prediction) -> bool:
    """Whether a suite has both, and how they were answered, as far as that is written."""
    unknown = not (one.answer_form and other.answer_form)
    return (unknown or one.answer_form == other.answer_form) and _asked(one) == _asked(other)


def _asked(row: Prediction) -> tuple[object, ...]:
    """Whether a suite has it, which answers it could choose, whether its likelihood is known."""
    return not row.answer_form, row.option_scores.keys(), row.loss is None, row.tokens > 0
