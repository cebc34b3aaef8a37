"""Find the answers that changed between right and wrong, and choose the most telling ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from lockstep.errors import UserError
from lockstep.review.metric_comparison import SHIPPED, Results, pair_records
from lockstep.review.outputs_of_commit import read_predictions
from lockstep.review.snapshot import Snapshot
from lockstep.statistics.examples import MARGIN

SHOWN = 10
"""Number of answers that the comment shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A test record whose answer got better or worse."""

    id: str
    suite: str
    base_score: float
    this_score: float
    reference: str = ""
    base: str = ""
    this: str = ""
    """Texts of reference and answers; "" if they are not known."""
    question: str = ""

    @property
    def is_better(self) -> bool:
        """Whether the answer got better."""
        return self.this_score > self.base_score


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedAnswers:
    """Answers of the variant that ships that got better or worse."""

    better: int
    worse: int
    shown: list[Flip]
    """The most telling ones, those that got worse first."""
    without_texts: str
    """Reason why texts are missing; "" if none is."""


def find_flips(base: Results, this: Results, sides: tuple[Snapshot, Snapshot]) -> FlippedAnswers:
    """Compare the answers of the variant that ships, and read the texts of those to show.

    A score that changes by MARGIN or less is no flip. Texts come from the predictions of both
    sides; without them, suites of labels have the labels, and other suites only the scores.
    """
    flips = {suite: [*_list_flips(base, this, suite)] for suite in this.scores.suites}
    counts = [flip.is_better for part in flips.values() for flip in part]
    shown = choose_flips(flips)
    reason = ""
    if shown:
        try:
            shown = _add_texts(shown, sides)
        except UserError as error:
            reason = error.message
    return FlippedAnswers(
        better=sum(counts), worse=len(counts) - sum(counts), shown=shown, without_texts=reason
    )


def choose_flips(flips: dict[str, list[Flip]], number: int = SHOWN) -> list[Flip]:
    """Return the most telling flips, half of them worse and half better where there are enough.

    The suites take turns; within a suite, larger changes of the score come first.
    """
    ordered = {
        is_better: _take_turns(
            [
                sorted(
                    (flip for flip in part if flip.is_better == is_better),
                    key=lambda flip: (-abs(flip.this_score - flip.base_score), flip.id),
                )
                for part in flips.values()
            ]
        )
        for is_better in (False, True)
    }
    worse, better = ordered[False], ordered[True]
    half = number // 2
    fewer_worse = max(half, number - len(better))
    fewer_better = max(half, number - len(worse))
    return [
        *worse[:fewer_worse],
        *better[: min(fewer_better, number - min(len(worse), fewer_worse))],
    ]


def _take_turns(groups: Sequence[Sequence[Flip]]) -> list[Flip]:
    return [flip for turn in zip_longest(*groups) for flip in turn if flip is not None]


def _list_flips(base: Results, this: Results, suite: str) -> Iterator[Flip]:
    before, after = pair_records(base.scores, this.scores, SHIPPED, suite)
    if not this.scores.suites[suite].form:
        return
    for old, new in zip(before, after, strict=True):
        if abs(new.score - old.score) > MARGIN:
            yield Flip(
                id=new.id,
                suite=suite,
                base_score=old.score,
                this_score=new.score,
                reference=new.reference,
                base=old.prediction,
                this=new.prediction,
            )


def _add_texts(flips: Sequence[Flip], sides: tuple[Snapshot, Snapshot]) -> list[Flip]:
    base, this = (read_predictions(side, SHIPPED) for side in sides)
    return [
        replace(
            flip,
            question=this[flip.id].question,
            reference=this[flip.id].reference,
            base=base[flip.id].prediction,
            this=this[flip.id].prediction,
        )
        if flip.id in base and flip.id in this
        else flip
        for flip in flips
    ]
