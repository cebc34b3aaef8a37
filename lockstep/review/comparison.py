"""Collect everything that a review shows: the branch in the workspace, compared with its base."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.review import changed_data, changed_inputs, decision, flipped_answers, run_costs
from lockstep.review.changed_results import RESULTS
from lockstep.review.metric_comparison import MetricChange, Results, compare_metrics
from lockstep.review.snapshot import Snapshot, find_base, resolve
from lockstep.statistics.gates import GateOutcome
from lockstep.statistics.record_scores import StoredScores, read_scores
from lockstep.verify.clone import run_git

SCORES, DETAILS, METRICS = (
    f"reports/{n}" for n in ("scores.jsonl", "details.json", "metrics.json")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A branch compared with the commit at which it starts."""

    base_name: str
    """Revision as the user named it, or its hash."""
    base_commit: str
    commits_behind: int
    """Commits of the base branch that this branch lacks."""
    uncommitted: list[str]
    """Files of results in the workspace that are not committed."""
    decision: decision.Decision
    gates: list[GateOutcome]
    metrics: list[MetricChange]
    unpaired: str
    """Reason why metrics are compared by the intervals of both sides; "" if they are not."""
    params: list[changed_inputs.ValueChange]
    libraries: list[changed_inputs.ValueChange]
    machines: tuple[str, str]
    code: list[tuple[str, int, int]]
    stages: list[changed_inputs.StageChange]
    data: changed_data.DataChanges
    flips: flipped_answers.FlippedAnswers
    costs: list[run_costs.CostChange]

    @property
    def has_passed(self) -> bool:
        """Whether all gates are met."""
        return all(outcome.passed for outcome in self.gates)


def compare(root: Path, revision: str | None) -> Comparison:
    """Compare the results in the workspace with those of the commit where the branch starts."""
    commit = find_base(root, revision)
    base, this = Snapshot(root, commit), Snapshot(root)
    old, new = _read_results(base), _read_results(this)
    if not new.details:
        raise UserError(f"{DETAILS}: not found; run `dvc repro`, or check out the committed file")
    missing = "" if old.details else f"The base `{commit[:7]}` has no results to compare with"
    seed = this.read_yaml("params.yaml").get("seed", 0)
    metrics = compare_metrics(old, new, seed) if old.details else []
    sizes = base.read_json(METRICS).get("quantize", {}), this.read_json(METRICS).get("quantize", {})
    gates = decision.decide_gates(new.details, metrics, sizes)
    details, scores = (old.details, new.details), (old.scores, new.scores)
    uncommitted = _list_uncommitted(root)
    # a checkout of git leaves the outputs of another branch in the workspace
    outs = this if "dvc.lock" in uncommitted else Snapshot(root, resolve(root, "HEAD"))
    return Comparison(
        base_name=revision or commit[:7],
        base_commit=commit,
        commits_behind=_count_commits(root, commit, revision),
        uncommitted=uncommitted,
        decision=decision.decide(metrics, gates, missing),
        gates=gates,
        metrics=metrics,
        unpaired=_describe_unpaired(base, this, *scores) if old.details else "",
        params=changed_inputs.compare_params(base, this),
        libraries=changed_inputs.compare_libraries(base, this),
        machines=(changed_inputs.find_machine(base), changed_inputs.find_machine(this)),
        code=changed_inputs.compare_code(base, this),
        stages=changed_inputs.compare_stages(base, this),
        data=changed_data.compare_data(base, outs, details, scores),
        flips=flipped_answers.find_flips(old, new, (base, outs)),
        costs=run_costs.compare_costs(base, this, details),
    )


def build_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON values, with the judgement of each metric and gate."""
    values: dict[str, Any] = asdict(comparison) | {
        "passed": comparison.has_passed,
        "gates": [
            {
                "gate": outcome.gate.model_dump(),
                "passed": outcome.passed,
                "value": outcome.value,
                "interval": outcome.interval and asdict(outcome.interval),
            }
            for outcome in comparison.gates
        ],
        "metrics": [asdict(change) | {"word": change.word} for change in comparison.metrics],
    }
    return json.loads(json.dumps(values))  # tuples become lists


def _read_results(side: Snapshot) -> Results:
    """Return what evaluate wrote; without a file of scores, the reason."""
    text = side.read(SCORES)
    if text is None:
        return Results(side.read_json(DETAILS), StoredScores({}, "it has no reports/scores.jsonl"))
    try:
        return Results(side.read_json(DETAILS), read_scores(text))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{SCORES} of {side.name}: damaged ({error!r}); run `dvc repro`") from None


def _describe_unpaired(base: Snapshot, this: Snapshot, old: StoredScores, new: StoredScores) -> str:
    reasons = [
        f"{side.name}: {scores.omitted}"
        for side, scores in ((base, old), (this, new))
        if scores.omitted
    ]
    return "; ".join(reasons)


def _list_uncommitted(root: Path) -> list[str]:
    """Return the results in the workspace that differ from HEAD."""
    status = run_git(root, "status", "--porcelain", "-z", "--no-renames", "--", *RESULTS)
    return [entry[3:] for entry in status.split("\0") if entry]


def _count_commits(root: Path, commit: str, revision: str | None) -> int:
    """Count the commits of the base branch after the commit at which this branch starts."""
    if revision is None:
        return 0
    return int(run_git(root, "rev-list", "--count", "--end-of-options", f"{commit}..{revision}"))
