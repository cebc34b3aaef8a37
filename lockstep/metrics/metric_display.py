"""Display of metrics: title, unit, number of digits, and whether higher or lower is better."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDisplay:
    """Title, unit and scale of a metric."""

    title: str
    percent: bool = False
    """Whether the value is a share, shown in percent; its changes are percentage points."""
    top: float | None = None
    """Best possible value, the full width of a bar; None if there is none."""
    lower_is_better: bool = False
    digits: int | None = None
    """Digits after the decimal point; None chooses by the size of the value."""
    tokenizer: str = ""
    """Tokenizer of a metric that compares words or characters."""

    def format(self, value: float) -> str:
        """Format a value with three or four significant digits."""
        if self.percent:
            return f"{100 * value:.1f}%"
        return f"{value:,.{self._count_decimals(value)}f}"

    def format_change(self, before: float, after: float) -> str:
        """Format the difference between two values, with its sign and without a unit.

        It is the difference between the values as shown, so that a reader can check it.
        """
        difference = self.compute_change(before, after)
        digits = 1 if self.percent else self._count_decimals(max(before, after))
        sign = "−" if difference < 0 else "+" if difference > 0 else "±"
        return f"{sign}{abs(difference):,.{digits}f}"

    def format_difference(self, difference: float) -> str:
        """Format a difference with its sign and unit; shares are in percentage points."""
        unit = " points" if self.percent else ""
        size = abs(100 * difference if self.percent else difference)
        shown = f"{size:,.{1 if self.percent else self._count_decimals(difference)}f}"
        sign = "" if not float(shown.replace(",", "")) else "−" if difference < 0 else "+"
        return f"{sign}{shown}{unit}"

    def compute_change(self, before: float, after: float) -> float:
        """Return after minus before, both rounded as shown; shares are in percentage points."""
        if self.percent:
            return round(round(100 * after, 1) - round(100 * before, 1), 1)
        digits = self._count_decimals(max(before, after))
        return round(round(after, digits) - round(before, digits), digits)

    def is_better(self, before: float, after: float) -> bool:
        """Whether `after` is better than `before` as shown; equal values are not better."""
        difference = self.compute_change(before, after)
        return difference < 0 if self.lower_is_better else difference > 0

    def _count_decimals(self, value: float) -> int:
        """Return the number of digits after the decimal point."""
        if self.digits is not None:
            return self.digits
        size = abs(value)
        return 3 if size < 1 else 2 if size < 10 else 1 if size < 1000 else 0


_WORDS = "words of any script; Chinese and Japanese by character, Thai by BudouX"

DISPLAYS = {
    "accuracy": MetricDisplay(title="accuracy", percent=True, top=1),
    "all_followed": MetricDisplay(title="all rules followed", percent=True, top=1),
    "macro_f1": MetricDisplay(title="macro F1", percent=True, top=1),
    "lm_eval_accuracy": MetricDisplay(title="accuracy of a sample by lm-eval", percent=True, top=1),
    "micro_f1": MetricDisplay(title="micro F1", percent=True, top=1),
    "weighted_f1": MetricDisplay(title="weighted F1", percent=True, top=1),
    "macro_precision": MetricDisplay(title="macro precision", percent=True, top=1),
    "macro_recall": MetricDisplay(title="macro recall", percent=True, top=1),
    "roc_auc": MetricDisplay(title="ROC AUC", top=1, digits=3),
    "margin": MetricDisplay(title="margin of the better answer", digits=2),
    "mean_absolute_error": MetricDisplay(title="mean absolute error", lower_is_better=True),
    "mean_squared_error": MetricDisplay(title="mean squared error", lower_is_better=True),
    "r2": MetricDisplay(title="R²", top=1, digits=3),
    "rouge_l": MetricDisplay(title="ROUGE-L", top=1, digits=3, tokenizer=_WORDS),
    "rouge_1": MetricDisplay(title="ROUGE-1", top=1, digits=3, tokenizer=_WORDS),
    "rouge_2": MetricDisplay(title="ROUGE-2", top=1, digits=3, tokenizer=_WORDS),
    "bleu": MetricDisplay(title="BLEU", top=100, digits=1, tokenizer="zh of sacrebleu"),
    "chrf": MetricDisplay(title="chrF", top=100, digits=1, tokenizer="characters"),
    "meteor": MetricDisplay(title="METEOR", top=1, digits=3, tokenizer=_WORDS),
    "exact_match": MetricDisplay(title="exact match", percent=True, top=1),
    "field_f1": MetricDisplay(title="field F1", percent=True, top=1),
    "entity_f1": MetricDisplay(title="entity F1", percent=True, top=1),
    "entity_precision": MetricDisplay(title="entity precision", percent=True, top=1),
    "entity_recall": MetricDisplay(title="entity recall", percent=True, top=1),
    "entity_macro_f1": MetricDisplay(title="entity macro F1", percent=True, top=1),
    "entity_macro_precision": MetricDisplay(title="entity macro precision", percent=True, top=1),
    "entity_macro_recall": MetricDisplay(title="entity macro recall", percent=True, top=1),
    "name_accuracy": MetricDisplay(title="correct function called", percent=True, top=1),
    "argument_f1": MetricDisplay(title="argument F1", percent=True, top=1),
    "call_decision_accuracy": MetricDisplay(title="call decision accuracy", percent=True, top=1),
    "schema_valid": MetricDisplay(title="matches the schema", percent=True, top=1),
    "token_f1": MetricDisplay(title="token F1", percent=True, top=1, tokenizer=_WORDS),
    "valid": MetricDisplay(title="valid", percent=True, top=1),
    "unsafe_refused": MetricDisplay(title="unsafe prompts refused", percent=True, top=1),
    "safe_answered": MetricDisplay(title="safe prompts answered", percent=True, top=1),
    "rules_followed": MetricDisplay(title="rules followed", percent=True, top=1),
    "all_followed_loose": MetricDisplay(title="all rules followed, loosely", percent=True, top=1),
    "rules_followed_loose": MetricDisplay(title="rules followed, loosely", percent=True, top=1),
    "calibration_error": MetricDisplay(title="calibration error", lower_is_better=True, digits=3),
    "length_ratio": MetricDisplay(
        title="length relative to the reference", digits=2, tokenizer=_WORDS
    ),
    "distinct_2": MetricDisplay(title="distinct word pairs", digits=3, tokenizer=_WORDS),
    "perplexity": MetricDisplay(title="perplexity", lower_is_better=True),
    "bytes": MetricDisplay(title="bytes", lower_is_better=True, digits=0),
    "bits_per_byte": MetricDisplay(title="bits per byte", lower_is_better=True, digits=3),
}
"""Metric -> its display, in order; the first metric that a suite has is its main metric."""


def describe_metric(name: str) -> MetricDisplay:
    """Return the display of a metric; a metric without one is a number where higher is better."""
    return DISPLAYS.get(name) or MetricDisplay(title=name.replace("_", " "))


def sort_metrics(names: Iterable[str]) -> list[str]:
    """Sort names of metrics: the main metric first, metrics without a display last."""
    order = {name: place for place, name in enumerate(DISPLAYS)}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def spell_out(name: str) -> str:
    """Replace the underscores of a name by spaces."""
    return name.replace("_", " ")


def format_bytes(number: int) -> str:
    """Format a number of bytes in the largest unit in which it is at least 1."""
    value, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{number:,} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
