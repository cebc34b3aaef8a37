"""Read the predictions of an earlier commit from DVC's cache or remote."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import Prediction
from lockstep.verify.clone import run_git


def resolve_revision(name: str | None) -> str:
    """Return the full hash of a commit.

    Without a name, it is the commit before the current results: HEAD if dvc.lock has uncommitted
    changes, else the parent of the commit that last changed dvc.lock.
    """
    root, revision = Path(), name
    try:
        if revision is None:
            revision = "HEAD"
            if not run_git(root, "status", "--porcelain", "dvc.lock"):
                last = run_git(root, "log", "-1", "--format=%H", "--", "dvc.lock").strip()
                revision = f"{last}~1"
        return run_git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").strip()
    except subprocess.CalledProcessError:
        problem = f"{name}: no such commit" if name else "no commit before these results"
        raise UserError(f"{problem}; name a commit by REVISION=…") from None


def read_predictions(variant: str, commit: str) -> list[Prediction]:
    """Return the predictions of a variant at a commit; raise UserError if they are missing."""
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
            f"{path} at {commit[:7]}: not available ({reason}); run `dvc fetch --all-commits`, or "
            "name a commit whose results are in the cache by REVISION=…"
        ) from None


def read_size(commit: str) -> dict[str, float]:
    """Return `bytes` and `ratio` of the quantized weights at a commit; {} if it has none.

    They are in reports/metrics.json, which git tracks.
    """
    try:
        text = run_git(Path(), "show", f"{commit}:reports/metrics.json")
    except subprocess.CalledProcessError:
        return {}
    size: dict[str, float] = json.loads(text).get("quantize", {})
    return size


def pair_predictions(
    current: Sequence[Prediction], earlier: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """Return both predictions of the records that both commits evaluated in the same way."""
    by_id = {prediction.id: prediction for prediction in earlier}
    paired = [
        prediction
        for prediction in current
        if prediction.id in by_id
        and _describe_evaluation(prediction) == _describe_evaluation(by_id[prediction.id])
    ]
    return paired, [by_id[prediction.id] for prediction in paired]


def _describe_evaluation(prediction: Prediction) -> tuple[object, ...]:
    """Return the answer form, the options and whether the reference has a likelihood."""
    return (
        prediction.answer_form,
        prediction.option_scores.keys(),
        prediction.loss is None,
        prediction.tokens > 0,
    )
