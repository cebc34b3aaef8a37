"""Agreement of the annotators of a control: Krippendorff's alpha, Cohen's kappa, F1 of spans."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import orjson

from lockstep.data.label_studio.voting import Vote

NUMERIC = ("rating", "number")
"""Types of questions whose answers are numbers."""


def measure_agreement(votes: Sequence[Vote]) -> dict[str, float]:
    """Return the agreement on the tasks that two or more annotators answered.

    Krippendorff's alpha and, for two annotators, Cohen's kappa are 1 for full agreement and 0 for
    agreement by chance. Alpha compares numbers by their squared difference (interval scale), sets
    of choices by MASI (Passonneau, 2006), and all other answers by equality. For spans it is the
    F1 of exactly equal spans over all pairs of annotators.
    """
    by_task: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_task[vote.task].append(vote)
    shared = {task: group for task, group in by_task.items() if len(group) > 1}
    result: dict[str, float] = {
        "annotators": len({vote.annotator for vote in votes}),
        "tasks_answered_twice": len(shared),
    }
    if not shared:
        return result
    question_type = votes[0].question_type
    if question_type == "spans":
        return result | _measure_spans(shared)
    return result | _measure_coefficients(shared, question_type)


def _measure_coefficients(
    shared: Mapping[str, Sequence[Vote]], question_type: str
) -> dict[str, float]:
    from nltk.metrics import agreement, distance

    measures: dict[str, tuple[Callable[[str], Hashable], Callable[..., float]]] = {
        "several_choices": (lambda answer: frozenset(orjson.loads(answer)), distance.masi_distance),
        **dict.fromkeys(NUMERIC, (float, distance.interval_distance)),
    }
    parse, measure = measures.get(question_type, (str, distance.binary_distance))
    data: list[Any] = [
        (vote.annotator, task, parse(vote.answer))
        for task, group in shared.items()
        for vote in group
    ]
    task = agreement.AnnotationTask(data=data, distance=measure)
    result = {"krippendorff_alpha": round(task.alpha(), 4)}
    if len({annotator for annotator, _, _ in data}) == 2:
        result["cohen_kappa"] = round(task.kappa(), 4)
    return result


def _measure_spans(shared: Mapping[str, Sequence[Vote]]) -> dict[str, float]:
    """Return the F1 of exact spans; two annotators who both found none in a task agree on it."""
    equal = total = 0
    for group in shared.values():
        spans = [{(*span,) for span in orjson.loads(vote.answer)} for vote in group]
        for first, second in combinations(spans, 2):
            equal += 2 * len(first & second)
            total += len(first) + len(second)
    return {"span_f1": round(equal / total, 4) if total else 1.0}
