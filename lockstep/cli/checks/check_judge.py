"""Checks of the section `judge`."""

from collections.abc import Iterator

from lockstep.cli.checks.source_names import list_known
from lockstep.cli.sections import EvaluateParams
from lockstep.judging.judge_params import Judge


def check_suites(evaluate: EvaluateParams, judge: Judge) -> Iterator[str]:
    """Yield a line for each judged suite whose answers are not text."""
    if judge.by == "none":
        return
    suites = [suite.task for suite in evaluate.suites if suite.answer == "text"]
    for task in judge.suites:
        if task not in suites:
            yield f"judge.suites: no suite {task} with text answers; {list_known(suites)}"
