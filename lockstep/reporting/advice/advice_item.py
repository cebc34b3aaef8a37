"""The advice itself, and the results of a run that the rules read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, sort_metrics
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import name_subject
from lockstep.reporting.texts import Text
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.details import Metrics
from lockstep.statistics.paired_tests import Difference

DATA = Text("data", "数据")
TRAINING = Text("training", "训练")
MODEL = Text("model", "模型")
METHOD = Text("method", "方法")
QUANTIZATION = Text("quantization", "量化")
EVALUATION = Text("evaluation", "评测")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A measured limit of the model, and what to try next."""

    rule: str
    """Name of the rule."""
    area: Text
    """Area of the limit."""
    finding: Text
    """Measured values that made the rule fire."""
    action: Text
    """Next step to try, with the parameters to change."""
    more: str = ""
    """Heading of docs/choices.md that explains it, as an anchor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MainMetric:
    """The main metric of a suite, with its interval and its changes."""

    task: str
    name: str
    records: int
    value: float
    interval: Interval
    tuning: Difference | None
    quantization: Difference | None

    @property
    def display(self) -> MetricDisplay:
        """Return how the metric is displayed."""
        return describe_metric(self.name)

    @property
    def subject(self) -> Text:
        """Return the suite and the metric in words."""
        return name_subject(self.task, self.name)

    @property
    def shown(self) -> str:
        """Return the value as a reader sees it."""
        return self.display.format(self.value)

    def gain(self, difference: Difference) -> Interval:
        """Return the interval of a difference, positive where the later variant is better."""
        low, high = difference.interval.low, difference.interval.high
        return Interval(-high, -low) if self.display.lower_is_better else Interval(low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """Everything that the rules read."""

    results: EvaluationResults
    summaries: Mapping[str, Metrics]
    """Folder in data/ -> the summary of the stage that wrote it."""
    log: Sequence[Mapping[str, Any]]
    settings: Metrics
    """Parameters of the stage report."""

    def list_main_metrics(self) -> list[MainMetric]:
        """Return the main metric of each suite of the merged variant that has an interval."""
        metrics = []
        for task, suite in self.results.suites.items():
            for name in sort_metrics(suite["overall"])[:1]:
                interval = self.results.get_interval("merged", task, name)
                if interval and task not in self.results.details["few_shot"]:
                    metrics.append(
                        MainMetric(
                            task=task,
                            name=name,
                            records=suite["records"],
                            value=suite["overall"][name],
                            interval=interval,
                            tuning=self.get_difference("tuning", task, name),
                            quantization=self.get_difference("quantization", task, name),
                        )
                    )
        return metrics

    def get_difference(self, step: str, task: str, name: str) -> Difference | None:
        """Return the difference by a step of the pipeline; None if it was not tested."""
        return self.results.differences[step].get(task, {}).get(name)
