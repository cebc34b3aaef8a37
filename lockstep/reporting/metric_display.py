"""What a figure is called, how it is written, which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The words and the scale of one figure of merit."""

    title: str
    percent: bool = False
    """A share of 1, written in percent; its changes are percentage points."""
    top: float | None = None
    """The best possible value, where there is one: the full width of a bar."""
    lower_is_better: bool = False
    digits: int | None = None
    """Behind the decimal point, where not by the size of the value."""

    def show(self, value: float) -> str:
        """The value as a reader writes it, three or four significant digits."""
        if self.percent:
            return f"{100 * value:.1f}%"
        return f"{value:,.{self._decimals(value)}f}"

    def change(self, before: float, after: float) -> str:
        """The signed difference of the two values *as shown*, so that a reader can check it."""
        difference = self.difference(before, after)
        digits = 1 if self.percent else self._decimals(max(before, after))
        sign = "−" if difference < 0 else "+" if difference > 0 else "±"
        return f"{sign}{abs(difference):,.{digits}f}"

    def step(self, difference: float) -> str:
        """A signed difference as a reader writes it; shares in percentage points."""
        unit = " points" if self.percent else ""
        size = abs(100 * difference if self.percent else difference)
        shown = f"{size:,.{1 if self.percent else self._decimals(difference)}f}"
        sign = "" if not float(shown.replace(",", "")) else "−" if difference < 0 else "+"
        return f"{sign}{shown}{unit}"

    def difference(self, before: float, after: float) -> float:
        """After minus before, in percentage points or in units, of the values as shown."""
        if self.percent:
            return round(round(100 * after, 1) - round(100 * before, 1), 1)
        digits = self._decimals(max(before, after))
        return round(round(after, digits) - round(before, digits), digits)

    def is_better(self, before: float, after: float) -> bool:
        """Whether `after` is better as shown; equal is not better."""
        difference = self.difference(before, after)
        return difference < 0 if self.lower_is_better else difference > 0

    def _decimals(self, value: float) -> int:
        if self.digits is not None:
            return self.digits
        size = abs(value)
        return 3 if size < 1 else 2 if size < 10 else 1 if size < 1000 else 0


MEASURES = {
    "accuracy": Measure(title="accuracy", percent=True, top=1),
    "all_followed": Measure(title="all rules followed", percent=True, top=1),
    "macro_f1": Measure(title="macro F1", percent=True, top=1),
    "lm_eval_accuracy": Measure(title="accuracy of a sample by lm-eval", percent=True, top=1),
    "micro_f1": Measure(title="micro F1", percent=True, top=1),
    "weighted_f1": Measure(title="weighted F1", percent=True, top=1),
    "macro_precision": Measure(title="macro precision", percent=True, top=1),
    "macro_recall": Measure(title="macro recall", percent=True, top=1),
    "roc_auc": Measure(title="ROC AUC", top=1, digits=3),
    "margin": Measure(title="margin of the better answer", digits=2),
    "mean_squared_error": Measure(title="mean squared error", lower_is_better=True),
    "mean_absolute_error": Measure(title="mean absolute error", lower_is_better=True),
    "r2": Measure(title="R²", top=1, digits=3),
    "rouge_l": Measure(title="ROUGE-L", top=1, digits=3),
    "rouge_1": Measure(title="ROUGE-1", top=1, digits=3),
    "rouge_2": Measure(title="ROUGE-2", top=1, digits=3),
    "bleu": Measure(title="BLEU", top=100, digits=1),
    "chrf": Measure(title="chrF", top=100, digits=1),
    "meteor": Measure(title="METEOR", top=1, digits=3),
    "exact_match": Measure(title="exact match", percent=True, top=1),
    "slot_f1": Measure(title="slot F1", percent=True, top=1),
    "name_accuracy": Measure(title="right function called", percent=True, top=1),
    "argument_f1": Measure(title="argument F1", percent=True, top=1),
    "called_rightly": Measure(title="called where expected", percent=True, top=1),
    "schema_valid": Measure(title="keeps the schema", percent=True, top=1),
    "token_f1": Measure(title="token F1", percent=True, top=1),
    "valid": Measure(title="valid JSON", percent=True, top=1),
    "unsafe_refused": Measure(title="unsafe prompts refused", percent=True, top=1),
    "safe_answered": Measure(title="safe prompts answered", percent=True, top=1),
    "rules_followed": Measure(title="rules followed", percent=True, top=1),
    "all_followed_loose": Measure(title="all rules followed, loosely", percent=True, top=1),
    "rules_followed_loose": Measure(title="rules followed, loosely", percent=True, top=1),
    "calibration_error": Measure(title="calibration error", lower_is_better=True, digits=3),
    "length_ratio": Measure(title="length by the expected one's", digits=2),
    "distinct_2": Measure(title="distinct pairs of words", digits=3),
    "perplexity": Measure(title="perplexity", lower_is_better=True),
    "bits_per_byte": Measure(title="bits per byte", lower_is_better=True, digits=3),
}
"""In the order of display: the first that a suite has is its main one."""


def measure(name: str) -> Measure:
    """The measure of that name; an unknown one is a plain number of which more is better."""
    return MEASURES.get(name) or Measure(title=name.replace("_", " "))


def in_order(names: dict[str, float]) -> list[str]:
    """Names of figures, main one first, unknown ones last by name."""
    known = list(MEASURES)
    return sorted(names, key=lambda n: (known.index(n) if n in known else len(known), n))


def words(name: str) -> str:
    """An identifier as a reader writes it."""
    return name.replace("_", " ")


def size(number: int) -> str:
    """Bytes in the largest unit that keeps a digit before the point."""
    value, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{number:,} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
