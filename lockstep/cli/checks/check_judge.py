"""Checks of the section `judge`."""

from collections.abc import Iterator

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import JudgeParams, PredictParams, PrepareParams


def check_suites(
    prepare: PrepareParams, predict: PredictParams, judge: JudgeParams
) -> Iterator[str]:
    """Yield a line for each judged suite that does not exist, or has no free-text answers."""
    if judge.by == "none":
        return
    names = SourceNames(prepare.sources)
    text_tasks = {suite.task for suite in predict.suites if suite.answer == "text"}
    for task in judge.suites:
        if not predict.suites and names.find_unknown_tasks([task]):
            yield f"judge.suites: no source has task {task}; {list_known(names.tasks)}"
        elif predict.suites and task not in text_tasks:
            known = list_known(text_tasks)
            yield f"judge.suites: {task} is no suite with free-text answers; {known}"
