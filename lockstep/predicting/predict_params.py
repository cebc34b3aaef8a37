"""The section `evaluate` of params.yaml, as far as several stages read it."""

from typing import Annotated, Literal

from pydantic import Field

from lockstep.metrics.suites import NUMBERS, WRITTEN, Suite
from lockstep.params import NaturalInt, Part, PositiveInt
from lockstep.predicting import retrieval
from lockstep.predicting.lm_eval_tasks import Harness
from lockstep.predicting.perturbations import Stability
from lockstep.predicting.retrieval import Retrieval

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

    backend: Literal["transformers", "vllm"]
    """What writes the answers; likelihoods and outputs of a head are always those of
    transformers."""
    stability: Stability
    fit_records: NaturalInt
    """Training and validation records of each suite that are asked as well; 0: none."""
    max_length: PositiveInt
    """Tokens that the model reads at once under perplexity; longer rows window by window."""
    max_new_tokens: PositiveInt
    """Longest generated answer."""
    batch_size: PositiveInt
    harness: Harness

    @property
    def vllm_writes(self) -> bool:
        """Whether any answer is written by vLLM."""
        return self.backend == "vllm" and any(one.answer in WRITTEN for one in self.measured)
