"""What was learnt by heart: the variants on records of training, validation and test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockstep.metrics.registry import LIKELIHOOD
from lockstep.reporting.metric_display import Measure, in_order, measure, words
from lockstep.reporting.stage_results import Figures
from lockstep.reporting.summary_metrics import significant
from lockstep.statistics.confidence_intervals import of_difference
from lockstep.statistics.split_gap import HELD_OUT, LEARNT, TEST, Fit

Fits = Mapping[str, Mapping[str, Mapping[str, Fit]]]
"""variant -> suite -> figure -> fit"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure of a suite, of the merged variant."""

    task: str
    name: str
    fit: Fit
    untuned: Fit | None
    """Of the base, which learnt from none of these records: how much harder those held out are."""

    @property
    def measure(self) -> Measure:
        return measure(self.name)

    @property
    def gap(self) -> str:
        return self.measure.step(self.fit.gap)

    @property
    def ends(self) -> str:
        ends, step = self.fit.gap_interval, self.measure.step
        return f"{step(ends.low).removesuffix(' points')} to {step(ends.high)}"

    @property
    def is_proven(self) -> bool:
        """Whether what was learnt is better by more than the draw of the records explains, and by
        more than the base finds it easier."""
        gaps = [self.fit.gap_interval]
        if self.untuned:
            base = self.untuned.gap, self.untuned.gap_interval
            gaps.append(of_difference((self.fit.gap, self.fit.gap_interval), base))
        lower = self.measure.lower_is_better
        return all(ends.high < 0 if lower else ends.low > 0 for ends in gaps)


def lines(fits: Fits) -> list[Line]:
    """The main figure of each suite, and the perplexity of its answers."""
    return [
        Line(
            task=task,
            name=name,
            fit=own[name],
            untuned=fits["base"].get(task, {}).get(name),
        )
        for task, own in fits["merged"].items()
        for name in dict.fromkeys([in_order(dict.fromkeys(own, 0.0))[0], next(iter(LIKELIHOOD))])
        if name in own
    ]


def concerns(shown: Sequence[Line]) -> Iterator[str]:
    """A sentence where the merged variant knows what it learnt better than what was held out."""
    known = [
        f"{words(line.task)} {line.measure.title} by {line.gap.lstrip('+−')}"
        for line in shown
        if line.is_proven and line.name not in LIKELIHOOD
    ]
    if known:
        yield (
            f"It does better on records that it learnt than on those held out: {', '.join(known)}. "
            "More data, fewer epochs or stronger regularization would narrow that."
        )


def details(fits: Fits) -> Figures:
    """{variant: {suite: {figure: {split: {records, figure, interval}, gap, gap_interval}}}}."""
    return {
        variant: {
            task: {name: _numbers(one) for name, one in own.items()} for task, own in suites.items()
        }
        for variant, suites in fits.items()
    }


def _numbers(fit: Fit) -> Figures:
    ends = fit.gap_interval
    return {
        **{
            split: {
                "records": fit.records[split],
                "figure": significant(fit.figures[split]),
                "interval": [significant(own.low), significant(own.high)],
            }
            for split in (LEARNT, HELD_OUT, TEST)
            if (own := fit.intervals.get(split))
        },
        "gap": significant(fit.gap),
        "gap_interval": [significant(ends.low), significant(ends.high)],
    }
