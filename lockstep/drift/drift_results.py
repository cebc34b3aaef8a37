"""Compare requests with training records by all tests together, and decide whether to alarm."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lockstep import multiple_testing, records
from lockstep.drift import drift_tests, topics
from lockstep.drift.compared_texts import ComparedText
from lockstep.drift.drift_tests import RESAMPLES, DriftTest
from lockstep.drift.text_features import TextFeatures
from lockstep.multiple_testing import LEVEL
from lockstep.serving.drift_params import DriftParams

LENGTH, SCRIPT, LANGUAGE, WORDS = "length", "script", "language", "unseen words"
SYSTEM, LABELS, TOPICS, NGRAMS = "system prompt", "labels", "topics", "n-grams"
MAX_WORDS = 20
"""Number of unseen words that are shown."""

Verdict = Literal["drift", "no drift", "too few texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSamples:
    """Labels of the tuned model for data like training, and for requests; answers that are no
    label are left out."""

    reference: NDArray[np.str_]
    requests: NDArray[np.str_]
    indices: list[int]
    """Request of each label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResults:
    """All tests of one comparison."""

    verdict: Verdict
    tests: list[DriftTest]
    unseen_words: list[tuple[str, int]] = field(default_factory=list)
    """Most frequent words that training does not have, with the number of requests."""

    @property
    def is_alarm(self) -> bool:
        """Whether any test alarms."""
        return self.verdict == "drift"


def measure_drift(
    reference: TextFeatures,
    requests: TextFeatures,
    labels: LabelSamples,
    params: DriftParams,
    seed: int,
    resamples: int = RESAMPLES,
) -> DriftResults:
    """Run all tests; a test alarms if its difference is significant and its effect large.

    Labels are compared if enough answers are labels, otherwise topics.

    The p-values are corrected by Holm's method, so that without drift at most LEVEL of all
    comparisons alarm, whatever the tests have in common.
    """
    if min(len(reference), len(requests)) < params.minimum_texts:
        return DriftResults(verdict="too few texts", tests=[])
    before, after, unseen = drift_tests.compute_new_words(reference.words, requests.words)

    def compare(name: str, first: NDArray[Any], second: NDArray[Any]) -> DriftTest:
        return drift_tests.compare_categories(name, first, second, seed, resamples)

    tests = [
        drift_tests.compare_numbers(LENGTH, reference.lengths, requests.lengths, "{:,.0f}".format),
        compare(SCRIPT, reference.scripts, requests.scripts),
        compare(LANGUAGE, reference.languages, requests.languages),
        drift_tests.compare_numbers(WORDS, before, after, "{:.0%}".format),
        compare(SYSTEM, reference.systems, requests.systems),
        drift_tests.compare_ngrams(NGRAMS, reference.ngrams, requests.ngrams, seed),
    ]
    if min(len(labels.reference), len(labels.requests)) >= params.minimum_texts:
        test = compare(LABELS, labels.reference, labels.requests)
        typicality = np.full(len(requests), np.nan)
        typicality[labels.indices] = test.typicality
        tests.append(replace(test, typicality=typicality))
    elif assigned := topics.assign_topics(reference.words, requests.words, seed):
        tests.append(compare(TOPICS, *assigned))
    tests = _decide(tests, params.minimum_effect)
    return DriftResults(
        verdict="drift" if any(test.is_alarm for test in tests) else "no drift",
        tests=tests,
        unseen_words=unseen.most_common(MAX_WORDS),
    )


def _decide(tests: Sequence[DriftTest], minimum_effect: float) -> list[DriftTest]:
    adjusted = multiple_testing.adjust_p_values([test.p for test in tests])
    return [
        replace(test, p_adjusted=p, is_alarm=p < LEVEL and test.effect >= minimum_effect)
        for test, p in zip(tests, adjusted, strict=True)
    ]


def collect_labels(
    sample: Sequence[str], requests: Sequence[ComparedText], allowed: Collection[str]
) -> LabelSamples:
    """Return the answers that consist of allowed labels; several labels are one category."""
    labelled = [
        (index, label)
        for index, item in enumerate(requests)
        if (label := normalize_label(item.answer, allowed))
    ]
    labels = [label for answer in sample if (label := normalize_label(answer, allowed))]
    return LabelSamples(
        reference=np.array(labels, np.str_),
        requests=np.array([label for _, label in labelled], np.str_),
        indices=[index for index, _ in labelled],
    )


def normalize_label(answer: str, allowed: Collection[str]) -> str:
    """Return the labels of an answer, sorted and joined; empty if one of them is not allowed."""
    labels = records.parse_labels(answer.strip())
    return ", ".join(sorted(labels)) if all(label in allowed for label in labels) else ""


def choose_examples(test: DriftTest, number: int) -> list[int]:
    """Return the indices of the requests that look most like the difference."""
    order = np.argsort(-np.nan_to_num(test.typicality, nan=-math.inf), kind="stable")
    return [int(index) for index in order[:number] if not math.isnan(test.typicality[index])]
