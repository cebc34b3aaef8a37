"""Checks of the section `prepare`."""

from collections.abc import Iterator

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import PredictParams, PrepareParams
from lockstep.data.source_formats import BENCHMARK_FORMATS
from lockstep.suites import JUDGED_FORMS

STRATA = {"task", "answer"}
"""Names that `prepare.split.by` may hold beside slices."""


def check_strata(prepare: PrepareParams) -> Iterator[str]:
    """Yield a line for each stratum that no source defines."""
    known = SourceNames(prepare.sources).slices | STRATA
    for name in prepare.split.by:
        if name not in known:
            yield f"prepare.split.by: no source has the slice {name}; {list_known(known)}"


def check_splits_of_judged_tasks(prepare: PrepareParams, predict: PredictParams) -> Iterator[str]:
    """Yield a line for each source for scoring alone that is not in the test split.

    Such references only score answers; a model must not be trained to give them.
    """
    forms = {suite.task: suite.answer for suite in predict.suites if suite.answer in JUDGED_FORMS}
    for source in prepare.sources:
        kind = BENCHMARK_FORMATS.get(source.format)
        form = source.answer or (kind if kind in JUDGED_FORMS else forms.get(source.task))
        if form and source.split != "test" and not source.sets("task"):
            yield (
                f"prepare.sources: {source.name}: the answers of task {source.task} are {form} "
                "for scoring and must not be trained on; set its split to test"
            )
