"""The section `evaluate` of params.yaml, as far as several stages read it."""

from typing import Annotated

from pydantic import Field

from stages.params import Part, PositiveInt
from stages.scoring import retrieval
from stages.scoring.harness import Harness
from stages.scoring.retrieval import Retrieval
from stages.scoring.suites import NUMBERS, Suite
from stages.scoring.variations import Stability

RETRIEVAL = Suite(task=retrieval.TASK, answer="rules", metrics=["all_followed"])
"""The suite of the prompts that are made here."""


class Suites(Part):
    """What both read: the stage that asks the model, and the report."""

    suites: Annotated[list[Suite], Field(min_length=1)]
    slices: list[str]
    """Slices by which each figure is broken down as well."""
    retrieval: Retrieval

    @property
    def measured(self) -> list[Suite]:
        """Those of the test records and, of a model that writes, of what is made."""
        made = self.retrieval.lengths and not self.ends_in_numbers
        return [*self.suites, RETRIEVAL] if made else self.suites

    @property
    def ends_in_numbers(self) -> bool:
        """Whether the answers are those of a classification or regression."""
        return any(suite.answer in NUMBERS for suite in self.suites)


class Asked(Suites):
    """What is measured, on how much at a time."""

    stability: Stability
    max_length: PositiveInt
    """Tokens that the model reads at once under perplexity; longer rows window by window."""
    max_new_tokens: PositiveInt
    """Longest generated answer."""
    batch_size: PositiveInt
    harness: Harness
